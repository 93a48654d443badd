"""Loading of a study's folder: all complete runs, as frames."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.arguments import checked
from cl_moe.errors import InputError
from cl_moe.objectives import SCORES
from cl_moe.runs.columns import PAIR_COLUMNS, ROW_COLUMNS, TIMING_COLUMNS, column_names
from cl_moe.runs.description import read_description, sources, tuned
from cl_moe.runs.exported import is_exported, read_records
from cl_moe.runs.files import read_json_lines, read_table
from cl_moe.runs.store import StudyFolder

if TYPE_CHECKING:
    from cl_moe.runs.stored import StoredStudy

__all__ = ("load_study",)


@checked()
def load_study(path: str | Path) -> StoredStudy:
    """Read a study's folder: all complete runs.

    Args:
        path: a folder that ``cl_moe.run``, ``cl_moe.transfer`` or an export has written.

    Returns:
        The study as frames, with the models that were kept.

    Raises:
        InputError: no such folder, not a study, no whole run yet, or a file in it is damaged
            (with file, line and column).
    """
    import pandas as pd

    from cl_moe.runs.stored import StoredStudy

    folder = StudyFolder(path)
    if not folder.study_file.exists():
        problem = "no study here (no study.json)" if folder.path.exists() else "no such folder"
        raise InputError(f"{path}: {problem}; give the folder that cl-moe run has written")
    description = read_description(folder.study_file)
    every = [m["name"] for m in description["methods"]]
    tasks = [task["task"] for task in description["tasks"] if not task["probe"]]
    if is_exported(folder.path):
        rows, timings, events, pairs = read_records(folder.path)
    else:
        rows, timings, events = _read_runs(folder, every, len(tasks))
        pairs = _read_pairs(folder, every, tasks)
    if not rows and not pairs:
        raise InputError(f"{path}: no run is complete; run the study again to resume it")
    ran = {row["method"] for row in rows}
    methods = [(m["name"], m["type"]) for m in description["methods"] if m["name"] in ran]
    names = [name for name, _ in methods]
    return StoredStudy(
        rows=pd.DataFrame(rows, columns=column_names(ROW_COLUMNS)),
        tasks=pd.DataFrame(description["tasks"]),
        methods=pd.DataFrame(methods, columns=["method", "type"]),
        events=events,
        timings=pd.DataFrame(timings, columns=column_names(TIMING_COLUMNS)),
        baseline=description["baseline"] if description["baseline"] in names else None,
        name=description["name"],
        pairs=pd.DataFrame(pairs, columns=column_names(PAIR_COLUMNS)),
        sources=sources(description),
        tuned=tuned(description),
        folder=folder.path,
    )


def _read_runs(
    folder: StudyFolder, methods: Sequence[str], tasks: int
) -> tuple[list[dict[str, Any]], list[dict[str, Any]], list[dict[str, Any]]]:
    rows, timings, events, problems = [], [], [], []
    for method in methods:
        for seed in folder.seeds(method):
            run = folder.run_folder(method, seed)
            try:
                rows += _whole(_rows_of(run / "rows.csv", method, seed), run, tasks)
                timings += read_table(run / "timings.csv", TIMING_COLUMNS)
                events += read_json_lines(run / "events.jsonl")
            except InputError as error:
                problems += error.problems
    if problems:
        raise InputError(problems)
    return rows, timings, events


def _whole(rows: list[dict[str, Any]], run: Path, tasks: int) -> list[dict[str, Any]]:
    """Return a run's rows; a truncated file is detected here."""
    last = max((row["after_task"] for row in rows), default=-1)
    if last < tasks - 1:
        raise InputError(
            f"{run / 'rows.csv'}: ends after {last + 1} of {tasks} tasks; is it cut off? "
            f"Remove {run}, and run the study again"
        )
    return rows


def _read_pairs(
    folder: StudyFolder, methods: Sequence[str], tasks: Sequence[str]
) -> list[dict[str, Any]]:
    """Read the accuracies on every task right after it was learned second.

    One is NaN where the run has diverged: its loss is not finite.
    """
    pairs, problems = [], []
    for method, after in itertools.product(methods, tasks):
        for seed in folder.seeds(method, after):
            try:
                rows = _rows_of(folder.run_folder(method, seed, after) / "rows.csv", method, seed)
            except InputError as error:
                problems += error.problems
                continue
            ends = [row for row in rows if row["epoch"] is None and row["after_task"] == 1]
            diverged = {
                row["task"]
                for row in ends
                if row["metric"] == "loss" and not math.isfinite(row["value"])
            }
            pairs += [
                {**row, "after": after, **({"value": math.nan} if row["task"] in diverged else {})}
                for row in ends
                if row["metric"] in SCORES.values()
            ]
    if problems:
        raise InputError(problems)
    return pairs


def _rows_of(path: Path, method: str, seed: int) -> list[dict[str, Any]]:
    """Read a run's rows; a misplaced folder is detected here."""
    rows = read_table(path, ROW_COLUMNS)
    for number, row in enumerate(rows, start=2):
        if (row["method"], row["seed"]) != (method, seed):
            raise InputError(
                f"{path}, line {number}: of method '{row['method']}' and seed {row['seed']}; "
                f"by its folder it should be of '{method}' and seed {seed}"
            )
    return rows
