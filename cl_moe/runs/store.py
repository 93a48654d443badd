"""The folder of a study: its description, and one complete folder per run."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.errors import InputError
from cl_moe.escape import file_name
from cl_moe.runs.columns import ROW_COLUMNS, TIMING_COLUMNS, TUNING_COLUMNS
from cl_moe.runs.description import FORMAT, read_description
from cl_moe.runs.files import read_table, write_json, write_json_lines, write_table

if TYPE_CHECKING:
    from cl_moe.runs.plan import Job, RunResult

__all__ = ("StudyFolder",)

_OURS = (
    "study.json", "tuning.csv", "runs", "after", "failures", "figures", "report.html",
    "transfer.csv",
)  # fmt: skip


class StudyFolder:
    """``DIR/study.json``, ``DIR/tuning.csv`` and ``DIR/runs/<method>/seed_<n>/``.

    ``DIR/failures/<method>-seed_<n>.txt`` is the traceback of a run that failed. Runs of one task
    and then each other one are in ``DIR/after/<task>/<method>/seed_<n>/``. The folder is written by
    one process, the driver. A run's folder appears by one rename, when all of it is written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    @property
    def study_file(self) -> Path:
        """The file with the study's description."""
        return self.path / "study.json"

    @property
    def tuning_file(self) -> Path:
        """The file with all settings of all grids and their scores."""
        return self.path / "tuning.csv"

    def run_folder(self, method: str, seed: int, after: str | None = None) -> Path:
        """Return the folder of a run.

        >>> StudyFolder("out").run_folder("moe/k=1", 3).as_posix()
        'out/runs/moe%2Fk=1/seed_3'
        >>> StudyFolder("out").run_folder("moe", 3, after="mnist").as_posix()
        'out/after/mnist/moe/seed_3'
        """
        root = self.path / "runs" if after is None else self.path / "after" / file_name(after)
        return root / file_name(method) / f"seed_{seed}"

    def failure_file(self, job: Job) -> Path:
        """Return where the traceback of a run that failed is.

        >>> from cl_moe.runs.plan import Job, MethodPlan
        >>> StudyFolder("out").failure_file(Job(MethodPlan("moe", "moe"), 3)).as_posix()
        'out/failures/moe-seed_3.txt'
        """
        words = [job.method.name, f"seed_{job.seed}"]
        words += [] if job.setting is None else [f"setting_{job.setting + 1}"]
        words += [] if job.after is None else [f"after_{job.after}"]
        return self.path / "failures" / f"{file_name('-'.join(words))}.txt"

    def failures(self) -> list[tuple[str, Path]]:
        """Return the runs that failed when they were last tried: a line on each, and its file."""
        files = sorted(self.path.glob("failures/*.txt"))
        return [(file.read_text(encoding="utf-8").split("\n")[0], file) for file in files]

    def forget_failure(self, job: Job) -> None:
        """Remove what was kept of a run that failed before."""
        file = self.failure_file(job)
        if file.exists():
            file.unlink()
            if not any(file.parent.iterdir()):
                file.parent.rmdir()

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
        """Remove the files of the study, and the folder if it is empty then."""
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
        """Tell whether there is a complete run or a tried setting."""
        runs = [*self.path.glob("runs/*/seed_*"), *self.path.glob("after/*/*/seed_*")]
        return bool(self.tuning() or runs)

    def has(self, job: Job) -> bool:
        """Tell whether a run is complete."""
        return self.run_folder(job.method.name, job.seed, job.after).is_dir()

    def write(self, job: Job, spec: Mapping[str, Any], result: RunResult) -> None:
        """Write a run with its model atomically."""
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
            if result.model is not None:
                Path(result.model).rename(draft / "model")
            try:
                draft.rename(target)
            except OSError:
                if not target.is_dir():  # else another process was faster, and has the same rows
                    raise
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            if result.model is not None:
                shutil.rmtree(Path(result.model).parent, ignore_errors=True)

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
