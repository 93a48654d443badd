"""The format of exported studies."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from cl_moe.errors import InputError
from cl_moe.runs.folder.checking import run_problems
from cl_moe.runs.folder.columns import PAIR_COLUMNS, ROW_COLUMNS, TIMING_COLUMNS
from cl_moe.runs.folder.digests import DIGESTS, changed
from cl_moe.runs.folder.files import read_json, read_table, write_json_lines, write_table
from cl_moe.runs.folder.records import expected, read_events

if TYPE_CHECKING:
    from cl_moe.analysis.data import StudyData

__all__ = (
    "FORMAT",
    "OURS",
    "Records",
    "is_exported",
    "read_records",
    "without_digests",
    "write_records",
)

FORMAT = 2
"""Of exports: 2 has digests; 1, of earlier versions, is not told in environment.json."""
ROWS, EVENTS, TIMINGS, PAIRS = "rows.csv.gz", "events.jsonl.gz", "timings.csv", "pairs.csv.gz"
OURS = (
    "README.md", "study.json", ROWS, EVENTS, TIMINGS, PAIRS, "tasks.csv", "tuning.csv",
    "environment.json", "summary.json", "figures", DIGESTS,
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


def read_records(folder: Path, description: Mapping[str, Any]) -> tuple[Records, str | None]:
    """Return the records of an exported study's runs, checked.

    Args:
        folder: of the export.
        description: its study.json.

    Returns:
        The records, and a note if the export is from before there were digests.

    Raises:
        InputError: a file is missing, was changed or is damaged, with file, line and column.
    """
    found = changed(folder, alone=False)
    if found is None and _format(folder) != 1:
        found = [f"{DIGESTS} is missing"]
    if found:
        raise InputError(
            f"{folder}: {', '.join(found)} since the export; restore it, or export the study again"
        )
    records = Records(
        rows=read_table(folder / ROWS, ROW_COLUMNS),
        timings=read_table(folder / TIMINGS, TIMING_COLUMNS),
        events=read_events(folder / EVENTS),
        pairs=read_table(folder / PAIRS, PAIR_COLUMNS) if (folder / PAIRS).exists() else [],
    )
    problems = [
        f"{folder}, method '{method}', seed {seed}: {problem}; export the study again"
        for (method, seed), (rows, timings) in _by_run(records).items()
        for problem in run_problems(rows, timings, expected(description))
    ]
    if problems:
        raise InputError(problems)
    return records, without_digests(folder, "the export") if found is None else None


def _format(folder: Path) -> Any:
    about = folder / "environment.json"
    return read_json(about).get("format", 1) if about.exists() else 1


def _by_run(records: Records) -> dict[tuple[str, int], tuple[list[Any], list[Any]]]:
    found: dict[tuple[str, int], tuple[list[Any], list[Any]]] = {}
    for place, part in enumerate((records.rows, records.timings)):
        for record in part:
            run = found.setdefault((record["method"], record["seed"]), ([], []))
            run[place].append(record)
    return found


def without_digests(folder: Path, what: str) -> str:
    """Return the note on files that cannot be checked.

    >>> without_digests(Path("runs/x"), "2 runs")
    'runs/x: 2 runs without digests, of an earlier version: changes of the files are not detected'
    """
    return (
        f"{folder}: {what} without digests, of an earlier version: changes of the files are not "
        "detected"
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
