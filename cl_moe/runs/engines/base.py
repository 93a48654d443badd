"""The interface of engines, which execute jobs."""

from __future__ import annotations

import abc
import pickle
from collections.abc import Iterator, Sequence

from cl_moe.errors import InputError
from cl_moe.runs.plan import Failure, Job, RunResult, StudyPlan

__all__ = ("TRIES", "Engine", "Outcome", "packed")

Outcome = tuple[Job, RunResult | Failure]

TRIES = 2
"""Number of attempts for a run whose process or machine dies (out of memory, a native crash)."""


class Engine(abc.ABC):
    """Executes batches of jobs; call :meth:`close` at the end."""

    def expect(self, runs: int) -> None:  # noqa: B027 - most engines need no preparation
        """Prepare for this number of runs, while the driver validates them."""

    @abc.abstractmethod
    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run all jobs and yield each one's outcome as it ends.

        Parallel runs are started longest first. Rows depend neither on that order nor on the
        engine. An interrupt loses only the runs in progress.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """Stop all runs in progress."""


def packed(plan: StudyPlan) -> bytes:
    """Pickle a plan for other processes; see :func:`cl_moe.runs.worker.unpacked`.

    Raises:
        InputError: the stream's data cannot be pickled.
    """
    try:
        return pickle.dumps(plan)
    except (pickle.PicklingError, AttributeError, TypeError) as error:
        raise InputError(
            f"jobs: this stream cannot be pickled for other processes ({error}); use jobs=1, "
            "or data sets whose classes and functions are defined in a module"
        ) from error
