"""Measurement of the cost of steps, evaluations and tasks on this machine, in a few seconds."""

from __future__ import annotations

import math
import statistics
import time
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from cl_moe.runs.plan import Job, MethodPlan, RunResult, StudyPlan

__all__ = ("Machine", "calibrate")

_STEPS = 20
"""Steps per measured epoch; fewer where they are slow."""

_SECONDS_AN_EPOCH = 0.15


@dataclass(frozen=True)
class Machine:
    """The constants of the cost model, in seconds, for the dense network of a study.

    Args:
        task: per task, independent of its size: a new head, the optimizer, its costs.
        epoch: per epoch, independent of its size.
        step: per optimizer step, independent of its batch.
        row: per row of a step, forward and backward.
        test: per evaluation of a task, independent of its size.
        test_row: per test row of an evaluation.
        recheck: per check that an earlier task's predictions are unchanged.
        parameters: number of parameters of the network, with its first head.
        memory: bytes of a process, with all imports and data sets.
    """

    task: float
    epoch: float
    step: float
    row: float
    test: float
    test_row: float
    recheck: float
    parameters: float
    memory: float


def calibrate(plan: StudyPlan, shape: tuple[int, ...], classes: int) -> Machine:
    """Measure a study's network with its batches, on tasks of random rows, in a few seconds.

    The runs are real ones, of ``dense`` and ``single_task``, and differ in one size at a time;
    the slope is the cost of that size.

    Args:
        plan: network, training, device, threads.
        shape: of a row.
        classes: of a task.

    Raises:
        InputError: the network cannot be built for such rows.
    """
    bench, batch = _Bench(plan, shape, classes), max(plan.training.batch_size, classes)
    small = max(batch // 8, classes)  # each class has a row
    bench.train(batch, 2 * batch, 1)  # imports, and pages that are touched for the first time
    steps = max(2, min(_STEPS, int(_SECONDS_AN_EPOCH / (bench.train(batch, 2 * batch, 1) / 2))))
    short, long = (bench.train(batch, steps * batch, epochs) for epochs in (1, 6))
    light = bench.train(small, steps * small, 6)
    many = bench.train(small, small, 6 * steps)
    # long - short: 5 epochs of steps; many - light: 6 * steps - 6 epochs more, the same steps
    epoch = max((many - light) / (6 * steps - 6), 0.0)
    full = max((long - short - 5 * epoch) / (5 * steps), 1e-9)
    task = max(short - epoch - steps * full, 0.0)
    slight = max((light - task - 6 * epoch) / (6 * steps), 0.0)
    row = max(full - slight, 0.0) / max(batch - small, 1)
    own, few = bench.rest("dense", _FEW, _LONGER)
    _, more = bench.rest("dense", _MANY)
    test_row = max(more - few, 0.0) / (_MANY - _FEW)
    return Machine(
        task=task + own,
        epoch=epoch,
        step=max(full - batch * row, 0.0),
        row=row,
        test=max(few - _FEW * test_row, 0.0),
        test_row=test_row,
        recheck=bench.rest("single_task", _FEW, _LONGER)[1],
        parameters=bench.parameters,
        memory=_memory(),
    )


_FEW, _MANY = 32, 1024
"""Test rows of a task."""

_STREAMS = (2, 7, 12)
"""Numbers of tasks of three streams, for fitting a quadratic cost."""

_LONGER = (4, 28, 52)
"""The same, for a cost per task that is too small to measure on few tasks."""


class _Bench:
    """Runs the study's network on tasks of random rows.

    On one core, CPU time is measured, which excludes other processes.
    """

    def __init__(self, plan: StudyPlan, shape: tuple[int, ...], classes: int) -> None:
        self._plan, self._shape, self._classes = plan, shape, classes
        self._cpu = plan.device == "cpu" and plan.threads == 1
        self.parameters = 0.0

    def train(self, batch: int, rows: int, epochs: int) -> float:
        """Return the seconds of training a task, without the first task's set-up."""
        result, _ = self._run("dense", self._stream(5, rows, _FEW), batch, epochs)
        return float(statistics.median(self._training(result)[1:]))

    def rest(
        self, method: str, test: int, streams: tuple[int, ...] = _STREAMS
    ) -> tuple[float, float]:
        """Return the seconds outside training: per task, and per pair of tasks."""
        found = []
        for tasks in streams:
            stream = self._stream(tasks, 4 * self._classes, test)
            result, seconds = self._run(method, stream, 4 * self._classes, 1)
            found.append(seconds - sum(self._training(result)))
        square, linear, _ = np.polyfit(streams, found, 2)  # T tasks have T (T + 1) / 2 pairs
        pair = max(2 * float(square), 0.0)
        return max(float(linear) - pair / 2, 0.0), pair

    def _run(self, method: str, stream: Any, batch: int, epochs: int) -> tuple[RunResult, float]:
        from cl_moe.runs.single import run_one

        budget = {"batch_size": batch, "epochs": epochs, "min_steps": 0}
        training = self._plan.training.model_copy(update=budget)
        plan = replace(self._plan, training=training, curves=False)
        clock = time.process_time if self._cpu else time.perf_counter
        start = clock()
        result = run_one(plan, Job(MethodPlan(method, method), seed=0), stream, lambda _: None)
        seconds = clock() - start
        self.parameters = next(row["value"] for row in result.rows if row["metric"] == "parameters")
        return result, seconds

    def _training(self, result: RunResult) -> list[float]:
        key = "cpu_seconds" if self._cpu else "train_seconds"
        return [float(timing[key]) for timing in result.timings]

    def _stream(self, tasks: int, train: int, test: int) -> Any:
        import torch

        from cl_moe.seeding import generator
        from cl_moe.streams.stream import TaskStream
        from cl_moe.streams.task import Task

        def data(rows: int, name: str) -> tuple[torch.Tensor, torch.Tensor]:
            draw = generator(0, "calibrate", name)
            y = torch.arange(rows) % self._classes
            return torch.rand(rows, *self._shape, generator=draw), y

        names = [str(k) for k in range(self._classes)]
        return TaskStream(
            [
                Task(f"{k}", data(train, f"{k}"), data(max(test, self._classes), f"{k}-t"), names)
                for k in range(tasks)
            ]
        )


def _memory() -> float:
    from cl_moe.runs.environment import peak_memory

    return (peak_memory() or math.nan) * 2**20
