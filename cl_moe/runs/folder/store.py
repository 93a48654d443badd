"""The folder of a study: its description, and one complete folder per run."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.errors import InputError
from cl_moe.escape import file_name
from cl_moe.runs.folder.columns import ROW_COLUMNS, TIMING_COLUMNS, TUNING_COLUMNS
from cl_moe.runs.folder.description import FORMAT, read_description
from cl_moe.runs.folder.digests import DIGESTS, has_digest, rewrite, write_digests
from cl_moe.runs.folder.exported import is_exported
from cl_moe.runs.folder.files import (
    json_text,
    read_table,
    table_text,
    write_json,
    write_json_lines,
    write_table,
    write_text,
)
from cl_moe.runs.folder.lock import LOCK, OWNER
from cl_moe.storage import DRAFT, naming, remove_leftovers, temporary_folder

if TYPE_CHECKING:
    from cl_moe.runs.plan import Job, RunResult

__all__ = ("StudyFolder", "write_run")

_OURS = (
    "study.json", "tuning.csv", DIGESTS, "runs", "after", "failures", "checkpoints", "figures",
    "report.html", "transfer.csv",
)  # fmt: skip
_HIDDEN = (DRAFT, LOCK, OWNER)
_A_DRAFT = re.compile(re.escape(DRAFT) + r"([0-9a-f]{8}-[0-9]+-)?[a-z0-9_]{8}")
_BEFORE_A_STUDY = (DIGESTS, "failures")
"""What a first start may leave when it cannot write study.json."""


class StudyFolder:
    """``DIR/study.json``, ``DIR/tuning.csv`` and ``DIR/runs/<method>/seed_<n>/``.

    ``digests.json``, in the folder and in that of each run, holds the digests of their files.

    ``DIR/failures/<method>-seed_<n>.txt`` is the traceback of a run that failed, and
    ``DIR/checkpoints/<method>-seed_<n>/`` holds the checkpoints of an unfinished run. Runs of one
    task and then each other one are in ``DIR/after/<task>/<method>/seed_<n>/``. Checkpoints are
    written by the runs, everything else by one process, the driver, which holds the lock of the
    folder. A run's folder appears by one rename, when all of it is written.
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
        return self.path / "failures" / f"{_name_of(job)}.txt"

    def checkpoint_folder(self, job: Job) -> Path:
        """Return where the checkpoints of an unfinished run are.

        >>> from cl_moe.runs.plan import Job, MethodPlan
        >>> StudyFolder("out").checkpoint_folder(Job(MethodPlan("moe", "moe"), 3)).as_posix()
        'out/checkpoints/moe-seed_3'
        """
        return self.path / "checkpoints" / _name_of(job)

    def begin_checkpoints(self, token: str, study: str, jobs: Iterable[Job]) -> int:
        """Let runs write checkpoints; return how many of ``jobs`` have some from before.

        Args:
            token: name of the file by which runs know that it is the driver's folder.
            study: its content, which identifies data and settings.
            jobs: the runs.
        """
        place = self.path / "checkpoints"
        place.mkdir(exist_ok=True)
        for other in place.glob("token-*"):  # left by a process that was killed
            other.unlink()
        write_text(place / token, study)
        return sum(any(self.checkpoint_folder(job).glob("checkpoint-*.json")) for job in jobs)

    def token(self, token: str) -> str | None:
        """Return what identifies the study; None if checkpoints were not begun with ``token``."""
        try:
            return (self.path / "checkpoints" / token).read_text(encoding="utf-8")
        except OSError:
            return None

    def end_checkpoints(self, token: str) -> None:
        """Remove the token, and the folder of checkpoints if it is empty then."""
        place = self.path / "checkpoints"
        (place / token).unlink(missing_ok=True)
        if place.is_dir() and not any(place.iterdir()):
            place.rmdir()

    def forget_checkpoints(self, job: Job) -> None:
        """Remove the checkpoints of a run that is complete, or cannot be continued."""
        shutil.rmtree(self.checkpoint_folder(job), ignore_errors=True)

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

    def refuse_others(self) -> None:
        """Check that the path is free, or holds a study that was run there.

        Raises:
            InputError: the path is a file, or a folder of something else.
        """
        if not self.path.exists():
            return
        if not self.path.is_dir():
            raise InputError(f"{self.path}: a file; give a folder for the results")
        if is_exported(self.path):
            raise InputError(
                f"{self.path}: an exported study, in which nothing is run; cl-moe unpack makes a "
                "folder of it in which it goes on"
            )
        names = (path.name for path in self.path.iterdir())
        others = [n for n in names if n not in _BEFORE_A_STUDY and not n.startswith(_HIDDEN)]
        if others and not self.study_file.exists():
            raise InputError(
                f"{self.path}: not empty, and not the results of a study (no study.json); "
                "give a new folder"
            )

    def description(self) -> dict[str, Any] | None:
        """Return what study.json holds; None for a folder that is new or empty.

        Raises:
            InputError: the path is not that of a study, or study.json is damaged.
        """
        self.refuse_others()
        return self.kept_description() if self.study_file.exists() else None

    def kept_description(self) -> dict[str, Any]:
        """Return what study.json holds.

        Raises:
            InputError: it is damaged, or has changed since it was written.
        """
        found = read_description(self.study_file)
        self._refuse_changed(self.study_file)
        return found

    def _refuse_changed(self, file: Path) -> None:
        if not has_digest(file):
            raise InputError(
                f"{file}: was changed since it was written; restore it, or start over with --fresh"
            )

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

    def clean(self) -> None:
        """Remove what a killed process has left; to be called with the folder's lock held.

        Only the holder of the lock, and its workers, make folders in this one: all of them are of a
        dead process. A file may be that of a report which is being written.
        """
        for path in self.path.glob(f"{DRAFT}*"):
            if _A_DRAFT.fullmatch(path.name) and path.is_dir():
                shutil.rmtree(path, ignore_errors=True)
        for where in (self.path, self.path / "failures", self.path / "figures"):
            remove_leftovers(where, DRAFT)

    def describe(self, description: Mapping[str, Any]) -> None:
        """Write study.json."""
        self.path.mkdir(parents=True, exist_ok=True)
        rewrite(self.study_file, json_text({"format": FORMAT, **description}))

    def runs(self) -> list[Path]:
        """Return the folders of all whole runs."""
        found = [*self.path.glob("runs/*/seed_*"), *self.path.glob("after/*/*/seed_*")]
        return sorted(path for path in found if path.is_dir())

    def in_use(self) -> bool:
        """Tell whether there is a complete run or a tried setting."""
        return bool(self.tuning() or self.runs())

    def has(self, job: Job) -> bool:
        """Tell whether a run is complete."""
        return self.run_folder(job.method.name, job.seed, job.after).is_dir()

    def write(self, job: Job, spec: Mapping[str, Any], result: RunResult) -> None:
        """Write a run with its model atomically.

        Raises:
            OSError: it cannot be written; nothing of it is there.
        """
        target = self.run_folder(job.method.name, job.seed, job.after)
        target.parent.mkdir(parents=True, exist_ok=True)
        draft = temporary_folder(DRAFT, self.path)
        try:
            with naming(target):
                write_run(draft, spec, result)
                draft.rename(target)
        finally:
            shutil.rmtree(draft, ignore_errors=True)
            if result.model is not None:
                shutil.rmtree(Path(result.model).parent, ignore_errors=True)

    def tuning(self) -> list[dict[str, Any]]:
        """Return the settings that have been tried so far.

        Raises:
            InputError: tuning.csv is damaged, or has changed since it was written.
        """
        if not self.tuning_file.exists():
            self._refuse_changed(self.tuning_file)
            return []
        rows = read_table(self.tuning_file, TUNING_COLUMNS)
        self._refuse_changed(self.tuning_file)
        return rows

    def write_tuning(self, rows: Iterable[Mapping[str, Any]]) -> None:
        """Write tuning.csv."""
        rewrite(self.tuning_file, table_text(TUNING_COLUMNS, rows))

    def seeds(self, method: str, after: str | None = None) -> list[int]:
        """Return the seeds of a method whose runs are whole, sorted."""
        folder = self.run_folder(method, 0, after).parent
        found = folder.glob("seed_*") if folder.is_dir() else ()
        words = (path.name.removeprefix("seed_") for path in found if path.is_dir())
        return sorted(int(word) for word in words if word.isdecimal())


def write_run(folder: Path, spec: Mapping[str, Any], result: RunResult) -> None:
    """Write the files of a run into its folder, their digests last."""
    write_json(folder / "spec.json", spec)
    write_json(folder / "environment.json", result.environment)
    write_table(folder / "rows.csv", ROW_COLUMNS, result.rows)
    write_json_lines(folder / "events.jsonl", result.events)
    write_table(folder / "timings.csv", TIMING_COLUMNS, result.timings)
    if result.model is not None:
        Path(result.model).rename(folder / "model")
    write_digests(folder)


def _name_of(job: Job) -> str:
    words = [job.method.name, f"seed_{job.seed}"]
    words += [] if job.setting is None else [f"setting_{job.setting + 1}"]
    words += [] if job.after is None else [f"after_{job.after}"]
    return file_name("-".join(words))
