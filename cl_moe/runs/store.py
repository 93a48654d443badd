"""A study's folder: what was asked for, and one whole folder a run."""

from __future__ import annotations

import itertools
import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from cl_moe.errors import InputError
from cl_moe.objectives import SCORES
from cl_moe.runs.description import FORMAT, read_description, sources, tuned
from cl_moe.runs.files import (
    Column,
    read_json_lines,
    read_table,
    write_json,
    write_json_lines,
    write_table,
)

if TYPE_CHECKING:
    from cl_moe.analysis.data import StudyData
    from cl_moe.runs.plan import Job, RunResult

__all__ = ("ROW_COLUMNS", "TIMING_COLUMNS", "TUNING_COLUMNS", "StudyFolder", "load_study")

ROW_COLUMNS = (
    Column.text("method"),
    Column.whole("seed", least=0),
    Column.whole("after_task", least=-1),
    Column.text("task"),
    Column.text("metric"),
    Column.number("value"),
    Column.whole("epoch", least=0, empty=True),
)
TIMING_COLUMNS = (
    Column.text("method"),
    Column.whole("seed", least=0),
    Column.whole("after_task", least=0),
    Column.amount("train_seconds", "seconds"),
    Column.amount("decision_seconds", "seconds"),
    Column.amount("eval_seconds", "seconds"),
    Column.amount("cpu_seconds", "seconds", later=True),
    Column.amount("peak_memory", "MiB", later=True),
)
TUNING_COLUMNS = (
    Column.text("method"),
    Column.whole("setting", least=0),
    Column.whole("seed", least=0),
    Column.text("parameters"),
    Column.number("value"),
    Column.text("chosen"),
)
_OURS = (
    "study.json", "tuning.csv", "runs", "after", "figures", "report.html", "transfer.csv",
)  # fmt: skip


class StudyFolder:
    """``DIR/study.json``, ``DIR/tuning.csv`` and ``DIR/runs/<method>/seed_<n>/``.

    Runs of one task and then each other one are in ``DIR/after/<task>/<method>/seed_<n>/``. The
    folder is written by one process, the driver. A run's folder appears by one rename, when
    all of it is written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def study_file(self) -> Path:
        """Where the study is described."""
        return self.path / "study.json"

    @property
    def tuning_file(self) -> Path:
        """Where all settings of all grids and their values are."""
        return self.path / "tuning.csv"

    def run_folder(self, method: str, seed: int, after: str | None = None) -> Path:
        """Return the folder of a run.

        >>> StudyFolder("out").run_folder("moe/k=1", 3).as_posix()
        'out/runs/moe%2Fk=1/seed_3'
        >>> StudyFolder("out").run_folder("moe", 3, after="mnist").as_posix()
        'out/after/mnist/moe/seed_3'
        """
        root = self.path / "runs" if after is None else self.path / "after" / _file_name(after)
        return root / _file_name(method) / f"seed_{seed}"

    def description(self) -> dict[str, Any] | None:
        """Return what study.json holds; None for a folder that is new or empty.

        Raises:
            InputError: the path is a file, or a folder of something else.
        """
        if not self.path.exists():
            return None
        if not self.path.is_dir():
            raise InputError(f"{self.path}: a file; give a folder for the results")
        if self.study_file.exists():
            return read_description(self.study_file)
        if any(self.path.iterdir()):
            raise InputError(
                f"{self.path}: not empty, and not the results of a study (no study.json); "
                "give a new folder"
            )
        return None

    def clear(self) -> None:
        """Remove what a study has put here, nothing else; an empty folder goes too."""
        for name in _OURS:
            target = self.path / name
            if target.is_dir():
                shutil.rmtree(target)
            else:
                target.unlink(missing_ok=True)
        if self.path.is_dir() and not any(self.path.iterdir()):
            self.path.rmdir()

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write study.json."""
        self.path.mkdir(parents=True, exist_ok=True)
        for draft in self.path.glob(".writing-*"):  # left by a process that was killed
            shutil.rmtree(draft, ignore_errors=True)
        write_json(self.study_file, {"format": FORMAT, **description})

    def in_use(self) -> bool:
        """Tell whether there is anything to keep: a whole run, or a setting that was tried."""
        runs = [*self.path.glob("runs/*/seed_*"), *self.path.glob("after/*/*/seed_*")]
        return bool(self.tuning() or runs)

    def has(self, job: Job) -> bool:
        """Tell whether a run is whole."""
        return self.run_folder(job.method.name, job.seed, job.after).is_dir()

    def write(self, job: Job, spec: Mapping[str, Any], result: RunResult) -> None:
        """Write a run: all of it or, if interrupted, nothing."""
        target = self.run_folder(job.method.name, job.seed, job.after)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = Path(tempfile.mkdtemp(dir=self.path, prefix=".writing-"))
        try:
            draft.chmod(0o755)
            write_json(draft / "spec.json", spec)
            write_json(draft / "environment.json", result.environment)
            write_table(draft / "rows.csv", ROW_COLUMNS, result.rows)
            write_json_lines(draft / "events.jsonl", result.events)
            write_table(draft / "timings.csv", TIMING_COLUMNS, result.timings)
            try:
                draft.rename(target)
            except OSError:
                if not target.is_dir():  # else another process was faster, and has the same rows
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)

    def tuning(self) -> list[dict[str, Any]]:
        """Return the settings that have been tried so far."""
        return read_table(self.tuning_file, TUNING_COLUMNS) if self.tuning_file.exists() else []

    def write_tuning(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write tuning.csv."""
        write_table(self.tuning_file, TUNING_COLUMNS, rows)

    def seeds(self, method: str, after: str | None = None) -> list[int]:
        """Return the seeds of a method whose runs are whole, sorted."""
        folder = self.run_folder(method, 0, after).parent
        found = folder.glob("seed_*") if folder.is_dir() else ()
        words = (path.name.removeprefix("seed_") for path in found if path.is_dir())
        return sorted(int(word) for word in words if word.isdecimal())


def _file_name(name: str) -> str:
    """Return the name of a method or a task as a folder's."""
    quoted = quote(name, safe=" =+,@()")
    return quoted.replace(".", "%2E", 1) if quoted.startswith(".") else quoted


def load_study(path: str | Path) -> StudyData:
    """Read a study's folder: all of its whole runs, however many there are.

    Args:
        path: a folder that ``cl_moe.run``, ``cl_moe.transfer`` or an export has written.

    Returns:
        The study as frames; see :class:`cl_moe.analysis.data.StudyData`.

    Raises:
        InputError: no such folder, not a study, no whole run yet, or a file in it is damaged
            (with file, line and column).
    """
    import pandas as pd

    from cl_moe.analysis.data import StudyData
    from cl_moe.runs.exported import is_exported, read_records

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
        raise InputError(f"{path}: no run is whole yet; run the study again to go on")
    ran = {row["method"] for row in rows}
    methods = [(m["name"], m["type"]) for m in description["methods"] if m["name"] in ran]
    names = [name for name, _ in methods]
    return StudyData(
        rows=pd.DataFrame(rows, columns=_names(ROW_COLUMNS)),
        tasks=pd.DataFrame(description["tasks"]),
        methods=pd.DataFrame(methods, columns=["method", "type"]),
        events=events,
        timings=pd.DataFrame(timings, columns=_names(TIMING_COLUMNS)),
        baseline=description["baseline"] if description["baseline"] in names else None,
        name=description["name"],
        pairs=pd.DataFrame(pairs, columns=["method", "seed", "after", "task", "value"]),
        sources=sources(description),
        tuned=tuned(description),
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
    """Return a run's rows; a file cut off at the end of a line is found here."""
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
    """Read the accuracies (scores) on every task right after it was learned second."""
    pairs, problems = [], []
    for method, after in itertools.product(methods, tasks):
        for seed in folder.seeds(method, after):
            try:
                rows = _rows_of(folder.run_folder(method, seed, after) / "rows.csv", method, seed)
            except InputError as error:
                problems += error.problems
                continue
            pairs += [
                {**row, "after": after}
                for row in rows
                if row["metric"] in SCORES.values()
                and row["epoch"] is None
                and row["after_task"] == 1
            ]
    if problems:
        raise InputError(problems)
    return pairs


def _rows_of(path: Path, method: str, seed: int) -> list[dict[str, Any]]:
    """Read a run's rows; a folder copied over another one's is found here."""
    rows = read_table(path, ROW_COLUMNS)
    for number, row in enumerate(rows, start=2):
        if (row["method"], row["seed"]) != (method, seed):
            raise InputError(
                f"{path}, line {number}: of method '{row['method']}' and seed {row['seed']}; "
                f"by its folder it should be of '{method}' and seed {seed}"
            )
    return rows


def _names(columns: Sequence[Column]) -> list[str]:
    return [column.name for column in columns]
