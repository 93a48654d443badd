"""Reports of failed and interrupted studies."""

from __future__ import annotations

import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from cl_moe.errors import InputError
from cl_moe.escape import line, lines
from cl_moe.runs.folder.files import write_text
from cl_moe.runs.folder.store import StudyFolder
from cl_moe.runs.formatting import counted
from cl_moe.runs.outcome import Study
from cl_moe.runs.plan import Failure, Job
from cl_moe.storage import FULL, storage_problem

__all__ = ("Failed", "StudyError", "StudyInterrupted", "failure_of", "keep_failure")


class Failed(NamedTuple):
    """A failed run, the reason, and the file of its traceback; None without a traceback.

    >>> from cl_moe.runs.plan import MethodPlan
    >>> job, failure = Job(MethodPlan("moe", "moe"), 0), Failure("...", reason="KeyError: 'x'")
    >>> Failed(job, failure, Path("failures/moe-seed_0.txt")).sentence
    "moe, seed 0: KeyError: 'x' (traceback: failures/moe-seed_0.txt)"
    """

    job: Job
    failure: Failure
    file: Path | None

    @property
    def sentence(self) -> str:
        """The message for the user."""
        where = "" if self.file is None else f" (traceback: {self.file})"
        return f"{self.job.label}: {self.failure.reason}{where}"


class StudyError(RuntimeError):
    """Some runs failed; the others were completed.

    Attributes:
        failures: the failed runs, each with its traceback and its file.
        study: the results of the other runs; None where no run is complete.
    """

    study: Study | None = None

    def __init__(self, failures: Sequence[Failed]) -> None:
        self.failures = list(failures)
        head = f"{counted(len(self.failures), 'run')} failed; all others are kept"
        super().__init__("\n".join([head, *(failed.sentence for failed in self.failures)]))


class StudyInterrupted(KeyboardInterrupt):
    """The study was stopped by Ctrl-C; ``done`` of ``total`` runs are whole and kept."""

    def __init__(self, done: int, total: int, folder: Path | None) -> None:
        self.done, self.total, self.folder = done, total, folder
        kept = f"kept in {folder}" if folder else "lost: no folder was given"
        super().__init__(f"stopped; {done} of {counted(total, 'run')} whole, {kept}")


def failure_of(error: BaseException) -> Failure:
    r"""Return the report of the error that is being handled.

    >>> try:
    ...     raise ValueError("no such row\nin this table")
    ... except ValueError as error:
    ...     failure_of(error).reason
    'ValueError: no such row'
    """
    problems = tuple(error.problems) if isinstance(error, InputError) else ()
    if isinstance(error, OSError) and error.errno in FULL:
        problems = (storage_problem(error),)
    said = str(error).strip().split("\n")[0]
    reason = "; ".join(problems) or f"{type(error).__name__}: {said}".removesuffix(": ")
    text = lines("".join(traceback.format_exception(error)))
    return Failure(text, problems=problems, reason=line(reason))


def keep_failure(folder: StudyFolder | None, job: Job, failure: Failure) -> Failed:
    """Write a failure's traceback to the study's folder, or to a temporary one, and say where.

    An InputError and a full disk need no traceback.
    """
    if failure.problems:
        return Failed(job, failure, None)
    if folder is None:
        folder = StudyFolder(tempfile.mkdtemp(prefix="cl_moe-"))
    file = folder.failure_file(job)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_text(file, f"{job.label}: {failure.reason}\n\n{failure.traceback.rstrip()}\n")
    return Failed(job, failure, file)
