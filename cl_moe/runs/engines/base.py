"""What an engine is: it runs jobs, batch after batch."""

from __future__ import annotations

import abc
import pickle
from collections.abc import Iterator, Sequence

from cl_moe.errors import InputError
from cl_moe.runs.plan import Failure, Job, RunResult, StudyPlan

__all__ = ("TRIES", "Engine", "Outcome", "packed")

Outcome = tuple[Job, RunResult | Failure]

TRIES = 2
"""How often a run is tried whose process or machine dies (out of memory, a native crash)."""


class Engine(abc.ABC):
    """Runs jobs, batch after batch; close it at the end."""

    def expect(self, runs: int) -> None:  # noqa: B027 - most engines need no preparation
        """Get ready for so many runs, while the driver still looks whether they can be made."""

    @abc.abstractmethod
    def run(self, jobs: Sequence[Job]) -> Iterator[Outcome]:
        """Run all jobs and yield each one's outcome as it ends.

        Where several run at once, the longest are started first. Rows depend neither on that order
        nor on the engine. An interrupt loses the runs under way alone.
        """

    @abc.abstractmethod
    def close(self) -> None:
        """End what is under way."""


def packed(plan: StudyPlan) -> bytes:
    """Return a plan as it is sent to other processes; :func:`cl_moe.runs.worker.unpacked` opens it.

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
