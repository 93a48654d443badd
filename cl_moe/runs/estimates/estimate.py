"""Estimates of a study's time, memory and experts before it is run."""

from __future__ import annotations

import heapq
import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from cl_moe.runs.callbacks import CURVE_EPOCHS
from cl_moe.runs.estimates.calibration import Machine, calibrate
from cl_moe.runs.estimates.cost_model import MethodCost, Spread, method_cost
from cl_moe.runs.plan import MethodPlan, StudyPlan

if TYPE_CHECKING:
    from cl_moe.streams.sizes import TaskSize
    from cl_moe.streams.spec import TrainingSpec

__all__ = ("Estimate", "MethodEstimate", "Work", "estimate", "makespan", "run_seconds", "work_of")

_BYTES = 4
_STATES = 3
"""Trained parameters need memory for gradients and two moments of Adam beside the weights."""

_BYTES_A_ROW = 300
"""Of a result, while a run holds it."""


@dataclass(frozen=True)
class Work:
    """The work of a run of the dense network.

    Args:
        tasks: of the stream.
        probes: unseen tasks, learned at the end.
        epochs: of all tasks.
        steps: optimizer steps of all tasks.
        rows: rows that go through these steps.
        test: test rows of the stream's tasks.
        curves: evaluations of a task while it is learned, and their rows.
        data: bytes of all inputs.
        every: all known tasks are evaluated after this number of tasks.
        sample: or this number of them; after the last task, all.
    """

    tasks: int
    probes: int
    epochs: int
    steps: int
    rows: int
    test: int
    curves: tuple[int, int]
    data: int
    every: int = 1
    sample: int | None = None

    @property
    def earlier(self) -> float:
        """Evaluations of tasks that were learned before, over the whole stream."""
        if self.sample is None:
            return self.tasks * (self.tasks - 1) / 2 / self.every
        drawn = min(self.sample, max(self.tasks - 1, 0)) * self.tasks / self.every
        return drawn + self.tasks


@dataclass(frozen=True)
class MethodEstimate:
    """The estimate for a method.

    Args:
        method: its name.
        runs: number of runs, including those for tuning.
        seconds: of one run.
        experts: at the end; None: it has one network for all tasks.
        memory: bytes of a process while it has a run of the method.
        measured: whether any study has measured methods of its kind.
    """

    method: str
    runs: int
    seconds: Spread
    experts: Spread | None
    memory: float
    measured: bool


@dataclass(frozen=True)
class Estimate:
    """What a study will take.

    Args:
        methods: one by one.
        work: of one run.
        jobs: runs at once.
        seconds: of the whole study, without the seconds in which processes start.
        memory: bytes of all processes together.
        machine: the measurements on this machine.
    """

    methods: tuple[MethodEstimate, ...]
    work: Work
    jobs: int
    seconds: Spread
    memory: float
    machine: Machine

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict."""
        return asdict(self)


def estimate(plan: StudyPlan, jobs: int = 1) -> Estimate:
    """Return the estimate of a study on machines like this one, without building it.

    The time is that of the dense network on this machine
    (:func:`cl_moe.runs.estimates.calibration.calibrate`, some seconds), times the relative costs of
    methods (:mod:`cl_moe.runs.estimates.cost_model`).

    Args:
        plan: the study.
        jobs: how many runs at once.
    """
    sizes = _sizes(plan)
    work = work_of(sizes, plan.training, plan.curves)
    shape, classes = _commonest(sizes)
    machine = calibrate(plan, shape, classes)
    methods = tuple(_method(plan, method, work, machine) for method in plan.methods)
    cores = max(1, (os.cpu_count() or 1) // plan.threads)
    at_once = min(jobs, cores, max(1, sum(m.runs for m in methods)))
    totals = [
        makespan([getattr(m.seconds, end) for m in methods for _ in range(m.runs)], at_once)
        for end in ("low", "mid", "high")
    ]
    heaviest = max(method.memory for method in methods)
    driver = machine.memory + work.data if jobs > 1 else 0.0
    return Estimate(methods, work, jobs, Spread(*totals), driver + jobs * heaviest, machine)


def work_of(sizes: Iterable[TaskSize], training: TrainingSpec, curves: bool = True) -> Work:
    """Return the work of a run for tasks of these sizes.

    >>> from cl_moe.streams.sizes import TaskSize
    >>> from cl_moe.streams.spec import TrainingSpec
    >>> work = work_of([TaskSize(64, 10, 2, (8,), count=3)], TrainingSpec(epochs=2, min_steps=0))
    >>> work.tasks, work.steps, work.rows, work.test
    (3, 12, 384, 30)
    """
    from cl_moe.streams.spec import sample_size
    from cl_moe.training.strategy import epochs_for

    total = dict.fromkeys(("tasks", "probes", "epochs", "steps", "rows", "test", "data"), 0)
    points = [0, 0]
    for size in sizes:
        epochs = epochs_for(size.train, training)
        steps = epochs * -(-size.train // training.batch_size)
        tests = (min(epochs, CURVE_EPOCHS) + 1 if curves else 0) + size.probe
        total["probes" if size.probe else "tasks"] += size.count
        total["epochs"] += size.count * epochs
        total["steps"] += size.count * steps
        total["rows"] += size.count * epochs * size.train
        total["test"] += 0 if size.probe else size.count * size.test
        total["data"] += size.count * (size.train + size.test) * math.prod(size.shape) * _BYTES
        points[0] += size.count * tests
        points[1] += size.count * tests * size.test
    every, sample = training.evaluate_every, sample_size(training.evaluate)
    return Work(curves=(points[0], points[1]), every=every, sample=sample, **total)


def run_seconds(work: Work, cost: MethodCost, machine: Machine, joint: bool = False) -> Spread:
    """Return the seconds of a run: training, times the method's relative cost, and evaluation.

    After each task its own rows are evaluated, and those of earlier tasks with changed predictions;
    the other tasks are only checked. ``joint``: all tasks are learned, and evaluated, once.
    """
    learned = work.tasks + work.probes
    training = machine.epoch * work.epochs + machine.step * work.steps + machine.row * work.rows
    earlier = work.earlier  # their rows are the mean's
    evaluated = work.tasks if joint else work.tasks + cost.again * earlier
    looked = 0.0 if joint else (1 - cost.again) * earlier
    points, rows = (0, 0) if joint else work.curves
    evaluation = (
        machine.task * (1 if joint else learned)
        + machine.test * (evaluated + points)
        + machine.test_row * (evaluated * work.test / max(work.tasks, 1) + rows)
        + machine.recheck * looked
    )
    low, mid, high = (
        factor * training + evaluation
        for factor in (cost.training.low, cost.training.mid, cost.training.high)
    )
    return Spread(low, mid, high)


def makespan(seconds: Sequence[float], jobs: int) -> float:
    """Return the time of runs with a number of parallel jobs, the longest started first.

    >>> makespan([3.0, 2.0, 2.0, 1.0], 2)
    4.0
    """
    ends = [0.0] * jobs
    for one in sorted(seconds, reverse=True):
        heapq.heapreplace(ends, ends[0] + one)
    return max(ends)


def _method(plan: StudyPlan, method: MethodPlan, work: Work, machine: Machine) -> MethodEstimate:
    cost = method_cost(method)
    joint = method.type == "joint"
    seconds = run_seconds(work, cost, machine, joint)
    experts = None
    if cost.experts is not None:
        ends = (cost.experts.low, cost.experts.mid, cost.experts.high)
        experts = Spread(*(float(max(1, round(work.tasks * end))) for end in ends))
    networks = 1.0 if experts is None else experts.mid
    results = (1 if joint else work.tasks / work.every + 1) * work.tasks * _BYTES_A_ROW
    memory = machine.memory + work.data + results
    memory += machine.parameters * _BYTES * (networks + _STATES)
    runs = len(plan.seeds) + len(method.settings())
    return MethodEstimate(method.name, runs, seconds, experts, memory, cost.studies > 0)


def _sizes(plan: StudyPlan) -> list[TaskSize]:
    from cl_moe.streams.sizes import scenario_sizes, stream_sizes
    from cl_moe.streams.stream import TaskStream

    if isinstance(plan.source, TaskStream):
        return stream_sizes(plan.source)
    return scenario_sizes(plan.source, plan.data_dir)


def _commonest(sizes: Sequence[TaskSize]) -> tuple[tuple[int, ...], int]:
    """Return the inputs' shape, and the classes that most tasks have."""
    counts: dict[int, int] = {}
    for size in sizes:
        counts[size.classes] = counts.get(size.classes, 0) + size.count
    return sizes[0].shape, max(counts, key=lambda classes: counts[classes])
