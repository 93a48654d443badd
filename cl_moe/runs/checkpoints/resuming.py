"""Checkpoints of a run: what identifies it, when they are taken, how the run continues."""

from __future__ import annotations

import contextlib
import gc
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from cl_moe.runs.checkpoints.checkpoint import Checkpoints, Saved
from cl_moe.runs.environment import environment
from cl_moe.runs.folder.store import StudyFolder
from cl_moe.runs.plan import Job, StudyPlan
from cl_moe.runs.recording import RunRecord

if TYPE_CHECKING:
    from cl_moe.state import State

__all__ = ("DAMAGE", "Resuming", "collecting_later")

DAMAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, AssertionError, RuntimeError)
"""Errors that a checkpoint may raise that was written by other code than the present one."""


@contextlib.contextmanager
def collecting_later() -> Iterator[None]:
    """Put off garbage collection until the body has ended.

    A full collection may take a hundred times as long as a checkpoint, whose many small objects
    would cause it: the checkpoint would seem expensive, and the next one would be late.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


class Resuming:
    """The checkpoints of one run, if it can be resumed.

    After each stage, a task of the stream or a probe, a checkpoint is written, unless checkpoints
    would take more than their share of the run's time; if a number of optimizer steps is
    given, after every stage, and after that many steps within one.

    Args:
        plan: the study.
        job: the run.
        record: what the run records.
    """

    def __init__(self, plan: StudyPlan, job: Job, record: RunRecord) -> None:
        self._record, self._checkpoints = record, None
        self._wanted = plan.checkpoints
        self.steps = None if self._wanted is None else self._wanted.steps
        study = self._study()
        if self._wanted is not None and study is not None:
            folder = StudyFolder(self._wanted.folder).checkpoint_folder(job)
            self._checkpoints = Checkpoints(folder, _identity(plan, job, study))

    def load(self, strategy: Any) -> Saved | None:
        """Return the last checkpoint; None where there is none, or the run cannot be resumed."""
        if self._checkpoints is None:
            return None
        from cl_moe.training.resume import obstacle

        if obstacle(strategy) is not None:
            self._checkpoints = None
            return None
        return self._checkpoints.load()

    def close(self) -> None:
        """Wait for the last checkpoint; the result of the run does not depend on it."""
        if self._checkpoints is not None:
            with contextlib.suppress(OSError):
                self._checkpoints.close()

    def discard(self) -> None:
        """Remove the checkpoints, which cannot be used."""
        if self._checkpoints is not None:
            self._checkpoints.remove()

    def save(self, stage: int, strategy: Any) -> None:
        """Write a checkpoint after ``stage`` stages, if it is due.

        Args:
            stage: number of finished stages.
            strategy: the state after them; None before the first.
        """
        if self._checkpoints is None or not (self.steps or self._checkpoints.due()):
            return
        if self._study() is None:
            return
        from cl_moe.training.resume import strategy_state

        with collecting_later():
            state = None if strategy is None else strategy_state(strategy)
            self._checkpoints.save(stage, state, self._record.news())

    def save_within(self, state: State) -> None:
        """Write a checkpoint within the current stage."""
        if self._checkpoints is not None and self._study() is not None:
            self._checkpoints.save_within(state, self._record.news())

    def _study(self) -> str | None:
        """Return the identity of the study; None where its folder is not the driver's (any more).

        A process that outlives its driver must not write beside the one that continues its run.
        """
        wanted = self._wanted
        return None if wanted is None else StudyFolder(wanted.folder).token(wanted.token)

    @property
    def active(self) -> bool:
        """Whether checkpoints are written."""
        return self._checkpoints is not None


def _identity(plan: StudyPlan, job: Job, study: str) -> dict[str, Any]:
    """Return all that determines a run and is known before it."""
    return {
        "study": study,
        "environment": environment(plan),
        "method": [job.method.name, job.method.type, dict(job.method.parameters)],
        "run": [job.seed, job.setting, job.after],
    }
