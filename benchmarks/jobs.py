"""Two runs at once on two cores against one after the other: ``make bench BENCH=jobs``."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from benchmarks.measuring import Page, quotient, side_by_side
from cl_moe.runs.engines.local import ProcessEngine
from cl_moe.runs.plan import Job, RunResult, StudyPlan
from cl_moe.runs.planning import make_plan

__all__ = ("ASKED", "command", "small_study", "warm_pool", "work")

ASKED = 1 / 1.8
"""Two jobs on two cores are to be at least 1.8 times as fast as one."""

_ABOUT = """\
One study (`digits_quick`, {methods}, {seeds} seeds, {epochs} epochs) with one process and with two,
each with one torch thread; the quotient is the time that two processes take over the time that one
takes, and 0.5 is all that two cores can give. *Imports apart*: the processes have run a job before
the clock starts. *The whole command*: `cl-moe run --jobs N` from a cold start, in which the driver
imports PyTorch, and one process, which the others are forks of, PyTorch and Avalanche meanwhile. *A
run's own time*: the seconds inside the same runs, two at once over one at a time: what two cores
take from each other (memory, cache, clock)."""

METHODS = ("joint", "replay", "ewc", "dense", "single_task", "moe")


def small_study(epochs: int = 60, seeds: int = 2, methods: Sequence[str] = METHODS) -> StudyPlan:
    """Return a study of equal streams with runs of a second or so.

    >>> len(small_study(epochs=1, seeds=2, methods=["dense"]).jobs())
    2
    """
    return make_plan("digits_quick", list(methods), seeds, training={"epochs": epochs})


def warm_pool(plan: StudyPlan, size: int) -> ProcessEngine:
    """Return a pool whose processes have imported everything and run a job."""
    pool = ProcessEngine(plan, size, lambda _: None)
    work(pool, plan.jobs()[:1] * size)
    return pool


def work(pool: ProcessEngine, jobs: Sequence[Job]) -> float:
    """Run jobs, and return the seconds that their runs themselves have taken, summed."""
    seconds = 0.0
    for job, outcome in pool.run(jobs):
        assert isinstance(outcome, RunResult), f"{job.label}: {outcome}"
        seconds += sum(t["train_seconds"] + t["eval_seconds"] for t in outcome.timings)
    return seconds


def command(jobs: int, epochs: int, seeds: int, methods: Sequence[str] = METHODS) -> float:
    """Run the study as a user does, in a folder that is thrown away; return the seconds."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["run", "digits_quick", "--methods", ",".join(methods), "--seeds", str(seeds)]
        words += ["--jobs", str(jobs), "--out", str(Path(folder) / "study"), "--quiet"]
        words += ["--no-figures", "--set", f"training.epochs={epochs}"]
        start = time.perf_counter()
        script = "from cl_moe.cli import main; main()"
        subprocess.run([sys.executable, "-c", script, *words], check=True, capture_output=True)
        return time.perf_counter() - start


def _timed(pool: ProcessEngine, jobs: Sequence[Job], own: list[float]) -> None:
    own.append(work(pool, jobs))


def main() -> None:
    """Measure, print and write the page."""
    epochs, seeds = 60, 2
    plan = small_study(epochs, seeds)
    about = _ABOUT.format(methods=", ".join(METHODS), seeds=seeds, epochs=epochs)
    page = Page("jobs", "Two runs at once", about)
    own: dict[str, list[float]] = {"1": [], "2": []}
    with contextlib.ExitStack() as stack:
        variants = {}
        for size in own:
            pool = stack.enter_context(contextlib.closing(warm_pool(plan, int(size))))
            variants[size] = partial(_timed, pool, plan.jobs(), own[size])
        warm = side_by_side(variants, rounds=5, warmup=0)
    apart = quotient("two at once / one at a time", warm["2"], warm["1"], ASKED)
    page.add("Imports apart", [apart])
    page.add("A run's own time", [quotient("two at once / one at a time", own["2"], own["1"])])
    cold = side_by_side(
        {str(size): partial(command, size, 2 * epochs, seeds) for size in (1, 2)},
        rounds=2,
        warmup=0,
    )
    page.add("The whole command", [quotient("--jobs 2 / --jobs 1", cold["2"], cold["1"], ASKED)])
    page.write()


if __name__ == "__main__":
    main()
