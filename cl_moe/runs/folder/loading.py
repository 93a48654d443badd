"""Loading of a study's folder: all complete runs, as frames."""

from __future__ import annotations

import itertools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.arguments import checked
from cl_moe.errors import InputError
from cl_moe.objectives import SCORES
from cl_moe.runs.folder.checking import tuning_problems
from cl_moe.runs.folder.columns import PAIR_COLUMNS, ROW_COLUMNS, TIMING_COLUMNS, column_names
from cl_moe.runs.folder.description import sources, tuned
from cl_moe.runs.folder.exported import Records, is_exported, read_records, without_digests
from cl_moe.runs.folder.records import RunRecords, read_run
from cl_moe.runs.folder.store import StudyFolder
from cl_moe.runs.formatting import counted

if TYPE_CHECKING:
    from cl_moe.runs.folder.stored import StoredStudy

__all__ = ("load_study", "read_runs")


@checked()
def load_study(path: str | Path) -> StoredStudy:
    """Read a study's folder: all complete runs.

    Every file is checked: its digest, its form, and whether the run is of this study. Folders from
    before there were digests are read, with a note (:attr:`StoredStudy.note`).

    Args:
        path: a folder that ``cl_moe.run``, ``cl_moe.transfer`` or an export has written.

    Returns:
        The study as frames, with the models that were kept.

    Raises:
        InputError: no such folder, not a study, no whole run yet, or a file in it is damaged
            (with file, line and column), was changed, lost or added, or is of another study.
    """
    import pandas as pd

    from cl_moe.runs.folder.stored import StoredStudy

    folder = StudyFolder(path)
    if not folder.study_file.exists():
        problem = "no study here (no study.json)" if folder.path.exists() else "no such folder"
        raise InputError(f"{path}: {problem}; give the folder that cl-moe run has written")
    description = folder.kept_description()
    if is_exported(folder.path):
        records, note = read_records(folder.path, description)
        check_tuning(folder, description)
    else:
        records, note = read_runs(folder, description)
    if not records.rows and not records.pairs:
        raise InputError(f"{path}: no run is complete; run the study again to resume it")
    ran = {row["method"] for row in records.rows}
    methods = [(m["name"], m["type"]) for m in description["methods"] if m["name"] in ran]
    names = [name for name, _ in methods]
    return StoredStudy(
        rows=pd.DataFrame(records.rows, columns=column_names(ROW_COLUMNS)),
        tasks=pd.DataFrame(description["tasks"]),
        methods=pd.DataFrame(methods, columns=["method", "type"]),
        events=records.events,
        timings=pd.DataFrame(records.timings, columns=column_names(TIMING_COLUMNS)),
        baseline=description["baseline"] if description["baseline"] in names else None,
        name=description["name"],
        pairs=pd.DataFrame(records.pairs, columns=column_names(PAIR_COLUMNS)),
        sources=sources(description),
        sampled=description["spec"].get("training", {}).get("evaluate", "all") != "all",
        tuned=tuned(description),
        folder=folder.path,
        note=note,
    )


def read_runs(folder: StudyFolder, description: Mapping[str, Any]) -> tuple[Records, str | None]:
    """Read and check all whole runs of a study that was run in this folder.

    Returns:
        The records, and a note if some runs are from before there were digests.

    Raises:
        InputError: a file is damaged, changed, missing or added, or of another study: all problems.
    """
    methods = [method["name"] for method in description["methods"]]
    tasks = [task["task"] for task in description["tasks"] if not task["probe"]]
    problems = _unknown(folder, methods, tasks)
    runs: list[RunRecords] = []
    pairs: list[RunRecords] = []
    after_of: list[str] = []
    try:
        check_tuning(folder, description)
    except InputError as error:
        problems += error.problems
    for method, after in itertools.product(methods, [None, *tasks]):
        for seed in folder.seeds(method, after):
            run = folder.run_folder(method, seed, after)
            try:
                found = read_run(run, description, method, seed, after)
            except InputError as error:
                problems += error.problems
                continue
            if after is None:
                runs.append(found)
            else:
                pairs.append(found)
                after_of.append(after)
    if problems:
        raise InputError(problems)
    records = Records(
        rows=[row for run in runs for row in run.rows],
        timings=[timing for run in runs for timing in run.timings],
        events=[event for run in runs for event in run.events],
        pairs=[
            row for run, after in zip(pairs, after_of, strict=True) for row in _pairs(run, after)
        ],
    )
    unsure = sum(not run.sure for run in (*runs, *pairs))
    return records, without_digests(folder.path, counted(unsure, "run")) if unsure else None


def check_tuning(folder: StudyFolder, description: Mapping[str, Any]) -> None:
    """Check the table of tried settings, if there is one.

    Raises:
        InputError: it is damaged, or settings are missing from which one was chosen.
    """
    found = tuning_problems(folder.tuning(), description["methods"], folder.tuning_file)
    if found:
        raise InputError(found)


def _unknown(folder: StudyFolder, methods: Sequence[str], tasks: Sequence[str]) -> list[str]:
    """Return runs of methods and tasks that study.json does not name."""
    known = {folder.run_folder(method, 0).parent for method in methods}
    known |= {folder.run_folder(m, 0, after=t).parent for m in methods for t in tasks}
    found = dict.fromkeys(run.parent for run in folder.runs() if run.parent not in known)
    return [
        f"{path}: of no method and task of {folder.study_file}; move it to another folder"
        for path in found
    ]


def _pairs(run: RunRecords, after: str) -> list[dict[str, Any]]:
    """Return the scores on every task right after it was learned second.

    One is NaN where the run has diverged: its loss is not finite.
    """
    ends = [row for row in run.rows if row["epoch"] is None and row["after_task"] == 1]
    diverged = {
        row["task"] for row in ends if row["metric"] == "loss" and not math.isfinite(row["value"])
    }
    return [
        {**row, "after": after, **({"value": math.nan} if row["task"] in diverged else {})}
        for row in ends
        if row["metric"] in SCORES.values()
    ]
