"""The format of exported studies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cl_moe.runs.columns import PAIR_COLUMNS, ROW_COLUMNS, TIMING_COLUMNS
from cl_moe.runs.files import read_json_lines, read_table, write_json_lines, write_table

if TYPE_CHECKING:
    from cl_moe.analysis.data import StudyData

__all__ = ("OURS", "Records", "is_exported", "read_records", "write_records")

ROWS, EVENTS, TIMINGS, PAIRS = "rows.csv.gz", "events.jsonl.gz", "timings.csv", "pairs.csv.gz"
OURS = (
    "README.md", "study.json", ROWS, EVENTS, TIMINGS, PAIRS, "tasks.csv", "tuning.csv",
    "environment.json", "summary.json", "figures",
)  # fmt: skip
"""The files of an export; other files in the folder are kept."""


class Records(NamedTuple):
    """All runs of a study together, in lists of plain records."""

    rows: list[dict[str, Any]]
    timings: list[dict[str, Any]]
    events: list[dict[str, Any]]
    pairs: list[dict[str, Any]]


def is_exported(folder: Path) -> bool:
    """Tell whether a folder holds an exported study, rather than one that was run there."""
    return (folder / ROWS).is_file()


def read_records(folder: Path) -> Records:
    """Return the records of an exported study's runs.

    Raises:
        InputError: a file is missing or damaged, with file, line and column.
    """
    return Records(
        rows=read_table(folder / ROWS, ROW_COLUMNS),
        timings=read_table(folder / TIMINGS, TIMING_COLUMNS),
        events=read_json_lines(folder / EVENTS),
        pairs=read_table(folder / PAIRS, PAIR_COLUMNS) if (folder / PAIRS).exists() else [],
    )


def write_records(folder: Path, data: StudyData) -> None:
    """Write the records of a study's runs; floats with all digits."""
    write_table(folder / ROWS, ROW_COLUMNS, map(_row, data.rows.to_dict("records")))
    write_table(folder / TIMINGS, TIMING_COLUMNS, map(_row, data.timings.to_dict("records")))
    write_json_lines(folder / EVENTS, data.events)
    if len(data.pairs):
        write_table(folder / PAIRS, PAIR_COLUMNS, map(_row, data.pairs.to_dict("records")))


def _row(record: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a frame's row as it was: no value where pandas has nan, epochs as whole numbers."""
    row = {str(key): value for key, value in record.items()}
    for key, value in row.items():
        missing = value is None or (key != "value" and value != value)
        row[key] = None if missing else int(value) if key == "epoch" else value
    return row
