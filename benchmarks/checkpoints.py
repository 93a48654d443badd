"""The cost of checkpoints, and the time after a kill: ``make bench BENCH=checkpoints``."""

from __future__ import annotations

import argparse
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

from benchmarks.long_stream import scenario
from benchmarks.measuring import RESULTS, Page, quotient, side_by_side, spread
from cl_moe.runs.folder.store import StudyFolder
from cl_moe.runs.plan import CheckpointPlan, Job, MethodPlan, Progress, StudyPlan
from cl_moe.runs.single import run_one

__all__ = ("Killed", "main", "plan_of", "seconds_after_a_kill")

METHODS = ("moe", "dense", "ewc", "single_task")
TOKEN = "token-benchmark"


class Killed(BaseException):
    """Ends a run in the middle of a task."""


def plan_of(method: str, tasks: int, epochs: int | None = None) -> StudyPlan:
    """Return a run of the first tasks of ``thousand_tasks``, by default with its epochs."""
    spec = scenario(tasks)
    given = next((m.parameters for m in spec.methods if m.name == method), {})
    methods = (MethodPlan(method, method, given),)
    training = spec.training
    if epochs is not None:
        training = training.model_copy(update={"epochs": epochs})
    return StudyPlan(spec.name, spec, spec.network, training, methods, (0,), curves=False)


def run(plan: StudyPlan, folder: Path | None, stop: int | None = None) -> list[float]:
    """Run the plan's only job, with checkpoints if there is a folder, up to a task.

    Returns:
        The CPU seconds until each task began, and until the end.

    Raises:
        Killed: when the task ``stop`` begins.
    """
    if folder is not None:
        StudyFolder(folder).begin_checkpoints(TOKEN, "a study", [])
        plan = replace(plan, checkpoints=CheckpointPlan(folder, TOKEN))
    start = time.process_time()
    begun: dict[int, float] = {}

    def tell(progress: Progress) -> None:
        if progress.task == stop:
            raise Killed
        begun.setdefault(progress.task, time.process_time() - start)

    run_one(plan, Job(plan.methods[0], 0), plan.stream(0), tell)
    return [*begun.values(), time.process_time() - start]


def with_checkpoints(plan: StudyPlan) -> Callable[[], None]:
    """Return a function that runs the plan with checkpoints, in a new folder."""

    def run_in_a_folder() -> None:
        with tempfile.TemporaryDirectory() as folder:
            run(plan, Path(folder))

    return run_in_a_folder


def seconds_after_a_kill(plan: StudyPlan, share: float = 0.8) -> tuple[float, float]:
    """Return the CPU seconds of a run, and of a second start after a kill.

    Args:
        plan: the run.
        share: of its time, after which the next task to begin is not learned.
    """
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        *begun, whole = run(plan, folder)
        stop = next(task for task, seconds in enumerate(begun) if seconds >= share * whole)
        shutil.rmtree(folder / "checkpoints")
        try:
            run(plan, folder, stop)
        except Killed:
            return whole, run(plan, folder)[-1]
    raise AssertionError("it was not killed")


def main() -> None:
    """Measure, print and write ``results/benchmarks/checkpoints.*``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tasks", type=int, default=100)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--epochs", type=int, help="for longer tasks")
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--folder", type=Path, default=RESULTS)
    given = parser.parse_args()
    page = Page(
        "checkpoints",
        "Checkpoints of unfinished runs",
        f"Runs of the first {given.tasks} tasks of `thousand_tasks` (150 examples each), with and "
        "without checkpoints; and a second start after a kill at 80 % of the time, against the "
        "whole run; in CPU time. Tasks of less than a tenth of a second are a hard case: "
        "checkpoints are written less often than once a task where they would take more than 2 %.",
        given.folder,
    )
    for method in given.methods.split(","):
        plan = plan_of(method, given.tasks, given.epochs)
        variants: dict[str, Callable[[], object]] = {
            "with": with_checkpoints(plan),
            "without": partial(run, plan, None),
        }
        found = side_by_side(variants, rounds=given.rounds, warmup=1, clock="cpu")
        again = [seconds_after_a_kill(plan) for _ in range(given.rounds)]
        page.add(
            method,
            [
                quotient("with / without checkpoints", found["with"], found["without"], 1.02),
                quotient(
                    "second start after a kill at 80 % of the time / whole run",
                    [second for _, second in again],
                    [whole for whole, _ in again],
                    0.25,
                ),
                spread("a task", [1e3 * s / given.tasks for s in found["without"]], unit="ms"),
            ],
        )
    page.write()


if __name__ == "__main__":
    main()
