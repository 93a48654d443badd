"""Comparisons in which a method is worse than another one."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.metrics.compute import compute
from cl_moe.analysis.metrics.names import METRICS, label
from cl_moe.analysis.stats import Interval, differences, interval, intervals
from cl_moe.analysis.tables import quantity

__all__ = ("Shortfall", "compare", "method_of_interest", "task_shortfalls")

# Quality, not cost: accuracy, forgetting, and transfer to unseen tasks.
COMPARED = ("average_accuracy", "forgetting", "probe_accuracy", "samples_to_target")

EQUAL = 1e-9  # a difference this small is rounding


class Shortfall(NamedTuple):
    """The method's mean is worse than a rival's on ``what``; difference = method - rival."""

    rival: str
    what: str
    difference: Interval
    unit: str

    @property
    def clear(self) -> bool:
        """Whether the 95 % interval of the paired difference excludes 0."""
        return self.difference.low > 0 or self.difference.high < 0

    @property
    def sentence(self) -> str:
        """The difference in words, with its interval.

        >>> Shortfall(
        ...     "single_task", "unrelated", Interval(-0.01, -0.02, 0.0, 5, "t"), "share"
        ... ).sentence
        'against single_task, unrelated: -1.0 points (95 % interval -2.0 to 0.0, 5 seeds)'
        """
        mean, low, high, seeds, _ = self.difference
        unit = " points" if self.unit == "share" else ""
        text = f"against {self.rival}, {self.what}: {quantity(mean, self.unit, sign=True)}{unit}"
        if math.isnan(low):
            return f"{text} (no interval, {seeds} seed{'s' if seeds != 1 else ''})"
        ends = [quantity(end, self.unit, sign=True) for end in (low, high)]
        return f"{text} (95 % interval {ends[0]} to {ends[1]}, {seeds} seeds)"


def method_of_interest(data: StudyData) -> str | None:
    """Return the method a report is about.

    Among methods that log decisions, one with the name of its type precedes variants; otherwise the
    first that is neither a reference nor the baseline; otherwise the first.
    """
    logged = {str(event["method"]) for event in data.events}
    references = {data.of_type("single_task"), data.of_type("joint"), data.baseline}
    own = [method for method in data.method_names if method not in references]
    types = dict(zip(data.methods["method"], data.methods["type"], strict=True))
    deciding = [method for method in data.method_names if method in logged]
    plain = [method for method in deciding if method == data.of_type(types[method])]
    return next(iter(plain or deciding or own or data.method_names), None)


def compare(data: StudyData, method: str) -> tuple[list[Shortfall], int]:
    """Return the comparisons in which a method's mean is worse, and the number of comparisons.

    Compared are average accuracy (of all tasks and of every group), forgetting, the accuracy on
    unseen tasks and the samples they need, each against every other method, paired by seed.
    """
    shortfalls, compared = [], 0
    values = compute(data)
    for rival in data.method_names:
        if rival == method:
            continue
        for (name, metric, group), found in intervals(differences(values, rival)).items():
            if name != method or metric not in COMPARED or not found.seeds:
                continue
            if group is not None and metric != "average_accuracy":
                continue
            compared += 1
            sign = 1 if METRICS[metric].higher_is_better else -1
            if sign * found.mean < -EQUAL:
                what = label(metric, group, data.score)
                shortfalls.append(Shortfall(rival, what, found, METRICS[metric].unit))
    return shortfalls, compared


def task_shortfalls(data: StudyData, method: str) -> list[Shortfall]:
    """Return the tasks on which a method's final accuracy is below that of ``single_task``."""
    single_task, tasks = data.of_type("single_task"), data.stream_tasks
    if single_task is None or single_task == method:
        return []
    runs = data.accuracies()
    seeds = [seed for seed in data.seeds if (method, seed) in runs and (single_task, seed) in runs]
    if not seeds:
        return []
    gain_ST = np.array([runs[method, seed][-1] - runs[single_task, seed][-1] for seed in seeds])
    found = [
        Shortfall(single_task, task, interval(gain_ST[:, j]), "share")
        for j, task in enumerate(tasks)
    ]
    return [shortfall for shortfall in found if shortfall.difference.mean < -EQUAL]
