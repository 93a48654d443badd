"""What a step, an evaluation and a task cost on this machine: measured in a few seconds."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

from cl_moe.runs.plan import Job, MethodPlan, RunResult, StudyPlan

__all__ = ("Machine", "calibrate")

_STEPS = 20
"""Steps of an epoch while it is measured; fewer where they are slow."""

_SECONDS_AN_EPOCH = 0.15
_TASKS = 5


@dataclass(frozen=True)
class Machine:
    """The constants of the cost model, in seconds, for the dense network of a study.

    Args:
        task: for a task, whatever its size: a new head, the optimizer, its costs.
        epoch: for an epoch, whatever its size.
        step: for an optimizer step, whatever its batch.
        row: for a row of a step, forward and backward.
        test: for the evaluation of a task, whatever its size.
        test_row: for a row of that.
        look: for finding that an earlier task's answers are as they were.
        parameters: of the network with one head.
        memory: bytes that a process has taken, all imports and the data sets included.
    """

    task: float
    epoch: float
    step: float
    row: float
    test: float
    test_row: float
    look: float
    parameters: float
    memory: float


def calibrate(plan: StudyPlan, shape: tuple[int, ...], classes: int) -> Machine:
    """Measure a study's network with its batches, on tasks of random rows, in a few seconds.

    The runs are real ones, of ``dense`` and ``alone``, which differ in one size at a time; what
    each size costs is the slope.

    Args:
        plan: network, training, device, threads.
        shape: of a row.
        classes: of a task.

    Raises:
        InputError: the network cannot be built for such rows.
    """
    batch = plan.training.batch_size
    bench, batch = _Bench(plan, shape, classes), max(batch, classes)
    first = bench.run(batch, 2 * batch, 1)  # imports, and pages that are touched for the first time
    first = bench.run(batch, 2 * batch, 1)
    steps = max(2, min(_STEPS, int(_SECONDS_AN_EPOCH / (bench.seconds(first) / 2))))
    short = bench.run(batch, steps * batch, 1)
    long = bench.run(batch, steps * batch, 6, test=1024)
    small = max(batch // 8, classes)  # each class has a row
    light = bench.run(small, steps * small, 6)
    many = bench.run(small, small, 6 * steps)
    alone = bench.run(batch, batch, 1, method="alone")
    train = {run: bench.seconds(found) for run, found in enumerate((short, long, light, many))}
    # long - short: 5 epochs of steps; many - light: 6 * steps - 6 epochs more, the same steps
    epoch = max((train[3] - train[2]) / (6 * steps - 6), 0.0)
    full = max((train[1] - train[0] - 5 * epoch) / (5 * steps), 1e-9)
    task = max(train[0] - epoch - steps * full, 0.0)
    slight = max((train[2] - task - 6 * epoch) / (6 * steps), 0.0)
    row = max(full - slight, 0.0) / max(batch - small, 1)
    few, more = _slope(short), _slope(long)
    test_row = max(more - few, 0.0) / (1024 - _FEW)
    test = max(few - _FEW * test_row, 0.0)
    own = _median(_evals(short)) - (_TASKS + 1) / 2 * few
    return Machine(
        task=task + max(own, 0.0),
        epoch=epoch,
        step=max(full - batch * row, 0.0),
        row=row,
        test=test,
        test_row=test_row,
        look=max(_slope(alone), 0.0),
        parameters=_last(short, "parameters"),
        memory=_memory(),
    )


_FEW = 32
"""Test rows of a task where they are not what is measured."""


class _Bench:
    """Runs the study's network on tasks of random rows."""

    def __init__(self, plan: StudyPlan, shape: tuple[int, ...], classes: int) -> None:
        self._plan, self._shape, self._classes = plan, shape, classes

    def run(
        self, batch: int, rows: int, epochs: int, test: int = _FEW, method: str = "dense"
    ) -> RunResult:
        from cl_moe.runs.single import run_one

        budget = {"batch_size": batch, "epochs": epochs, "min_steps": 0}
        plan = replace(
            self._plan, training=self._plan.training.model_copy(update=budget), curves=False
        )
        job = Job(MethodPlan(method, method), seed=0)
        return run_one(plan, job, self._stream(rows, test), lambda _: None)

    def seconds(self, found: RunResult) -> float:
        """Return those of training a task; the first one also pays for what is set up once.

        On one core, CPU time: what else the machine does now is no part of what a study takes.
        """
        one_core = self._plan.device == "cpu" and self._plan.threads == 1
        clock = "cpu_seconds" if one_core else "train_seconds"
        return _median(timing[clock] for timing in found.timings[1:])

    def _stream(self, train: int, test: int) -> Any:
        import torch

        from cl_moe.seeding import generator
        from cl_moe.streams.task import Task, TaskStream

        def data(rows: int, name: str) -> tuple[torch.Tensor, torch.Tensor]:
            draw = generator(0, "calibrate", name)
            return torch.rand(rows, *self._shape, generator=draw), torch.arange(rows) % self._classes

        names = [str(k) for k in range(self._classes)]
        return TaskStream(
            [Task(f"{k}", data(train, f"{k}"), data(test, f"{k}-test"), names) for k in range(_TASKS)]
        )


def _median(values: Iterable[float]) -> float:
    return float(statistics.median(values))


def _evals(found: RunResult) -> list[float]:
    return [float(timing["eval_seconds"]) for timing in found.timings]


def _slope(found: RunResult) -> float:
    """Return how much longer an evaluation takes with each earlier task (Theil 1950)."""
    seconds = _evals(found)
    slopes = [
        (seconds[b] - seconds[a]) / (b - a)
        for a in range(1, len(seconds))
        for b in range(a + 1, len(seconds))
    ]
    return _median(slopes)


def _last(found: RunResult, metric: str) -> float:
    return float([row["value"] for row in found.rows if row["metric"] == metric][-1])


def _memory() -> float:
    from cl_moe.runs.environment import peak_memory

    return (peak_memory() or math.nan) * 2**20
