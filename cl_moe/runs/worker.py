"""A process that runs jobs for a driver: ``python -m cl_moe.runs.worker``.

The parent sends the pickled plan, then one job after the other; results are JSON lines (which keep
every digit of a float). Heavy imports happen once per worker. It is a plain child process, not one
of multiprocessing's, so that a script or notebook that calls ``cl_moe.run(jobs=2)`` is not imported
a second time and needs no ``__main__`` guard.
"""

from __future__ import annotations

import importlib
import json
import math
import os
import pickle
import sys
import time
from collections.abc import Callable
from dataclasses import asdict
from typing import IO, Any

from cl_moe.runs.failures import failure_of
from cl_moe.runs.orphans import end_with
from cl_moe.runs.plan import Failure, Job, Progress, ProgressCallback, RunResult, Streams, StudyPlan

__all__ = ("attempt", "import_what_runs_need", "main", "throttled", "unpacked")

_SECONDS_BETWEEN_REPORTS = 0.1


def attempt(
    plan: StudyPlan, streams: Streams, job: Job, tell: ProgressCallback
) -> RunResult | Failure:
    """Run a job; errors are returned, so that other runs continue."""
    from cl_moe.runs.single import run_one

    try:
        return run_one(plan, job, streams(job), tell)
    except (Exception, SystemExit) as error:  # noqa: BLE001 - a user's method may raise anything
        return failure_of(error)


def main() -> None:
    """Process jobs until the driver closes standard input, or ends."""
    end_with(sys.stdin.fileno())
    replies = _private_stdout()
    try:
        plan = _receive()
    except Exception as error:  # noqa: BLE001 - a user's data set may raise anything when unpickled
        _send(replies, "unloadable", asdict(failure_of(error)))
        return
    assert isinstance(plan, StudyPlan)
    import_what_runs_need()
    streams = Streams(plan)
    while (job := _receive()) is not None:
        tell = throttled(
            lambda report: _send(replies, "progress", report), _SECONDS_BETWEEN_REPORTS
        )
        outcome = attempt(plan, streams, job, tell)
        kind = "result" if isinstance(outcome, RunResult) else "failure"
        _send(replies, kind, asdict(outcome))


def import_what_runs_need() -> None:
    """Import slow modules once, before the first job arrives.

    >>> import_what_runs_need()
    >>> {"avalanche", "cl_moe.training.strategy"} <= sys.modules.keys()
    True
    """
    for name in ("runs.single", "streams.scenario", "training.evaluation", "training.strategy"):
        importlib.import_module(f"cl_moe.{name}")


def unpacked(plan: bytes) -> StudyPlan:
    """Return the plan that the study's driver has sent."""
    found = pickle.loads(plan)  # noqa: S301 - by our own driver, through Ray
    assert isinstance(found, StudyPlan)
    return found


def _receive() -> Any:
    """Return the next object from the driver, None at the end."""
    try:
        return pickle.load(sys.stdin.buffer)  # noqa: S301 - written by our own parent process
    except EOFError:
        return None


def _private_stdout() -> IO[str]:
    """Return standard output, and redirect prints of libraries to standard error."""
    replies = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    return replies


def _send(replies: IO[str], kind: str, content: dict[str, Any]) -> None:
    replies.write(json.dumps({"kind": kind, "content": content}) + "\n")
    replies.flush()


def throttled(send: Callable[[dict[str, Any]], object], seconds: float) -> ProgressCallback:
    """Return a progress callback that sends at most one report per ``seconds``.

    >>> sent = []
    >>> tell = throttled(sent.append, seconds=60)
    >>> for task in range(3):
    ...     tell(Progress("dense, seed 0", task, 3, "mnist"))
    >>> [report["task"] for report in sent]
    [0]
    """
    last = -math.inf

    def tell(progress: Progress) -> None:
        nonlocal last
        now = time.monotonic()
        if now - last >= seconds:
            last = now
            send(asdict(progress))

    return tell


if __name__ == "__main__":
    main()
