"""Checks of metrics that are functions of an accuracy matrix."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from cl_moe.analysis.metrics.base import Metric
from cl_moe.testing.base import Check, NotApplicable, Subject, require

__all__ = ("CHECKS",)

UNITS = ("share", "count", "operations", "seconds", "examples", "MiB")


def matrix(tasks: int = 4) -> Any:
    """Return the accuracy matrix of a method that forgets; NaN above the diagonal."""
    a_TT = np.full((tasks, tasks), np.nan)
    for k in range(tasks):
        for j in range(k + 1):
            a_TT[k, j] = 0.9 - 0.1 * j - 0.05 * (k - j)
    return a_TT


def metric_of(subject: Subject) -> Metric:
    """Return a metric that is a function of a matrix."""
    metric = subject.part
    assert isinstance(metric, Metric)
    if metric.function is None:
        raise NotApplicable("it takes other inputs than an accuracy matrix")
    return metric


def require_value(metric: Metric, a_TT: Any, columns: Any, what: str) -> float:
    """Require a real number, or NaN for undefined."""
    value = metric.of(a_TT, columns)
    require(not math.isinf(value), f"it is {value} for {what}; give NaN where it is undefined")
    return value


def says_what_it_is(subject: Subject) -> None:
    """It has a label, a unit, and its requirements."""
    metric = subject.part
    assert isinstance(metric, Metric)
    require(metric.label, "label: is empty; give its name in tables")
    require(metric.unit in UNITS, f"unit: '{metric.unit}' is none of {', '.join(UNITS)}")
    known = metric.higher_is_better in (True, False, None)
    require(known, f"higher_is_better: {metric.higher_is_better!r}; give True, False or None")
    require(metric.needs, "needs: is empty; give its requirements, to complete 'needs ...'")


def gives_a_number(subject: Subject) -> None:
    """For a complete matrix it is a finite number; a share is in -1..1."""
    metric = metric_of(subject)
    value = require_value(metric, matrix(), None, "a whole matrix")
    require(not math.isnan(value), "it is NaN for a whole matrix of four tasks")
    right = metric.unit != "share" or -1 <= value <= 1
    require(right, f"it is {value} for accuracies in 0..1; a share is in -1..1")


def same_seed_same_result(subject: Subject) -> None:
    """The same matrix gives the same value; None means all columns."""
    metric = metric_of(subject)
    first = metric.of(matrix())
    require(first == metric.of(matrix()), "the same matrix gives another value the second time")
    every = metric.of(matrix(), [0, 1, 2, 3])
    require(first == every, f"it is {first} for all columns (None) and {every} for each of them")


def inputs_untouched(subject: Subject) -> None:
    """The matrix and the columns are unchanged."""
    metric = metric_of(subject)
    assert metric.function is not None
    a_TT, columns = matrix(), [0, 2]
    metric.function(a_TT, columns)
    same = np.array_equal(a_TT, matrix(), equal_nan=True)
    require(same, "its input matrix is changed; modify a copy")
    require(columns == [0, 2], "its input columns are changed")


def some_columns(subject: Subject) -> None:
    """It is computed for some of the tasks, and NaN for none of them."""
    metric = metric_of(subject)
    for columns in ([0], [1, 2], [3]):
        require_value(metric, matrix(), columns, f"columns {columns}")
    value = require_value(metric, matrix(), [], "no columns")
    require(math.isnan(value), f"it is {value} for no tasks at all; give NaN")


def one_task(subject: Subject) -> None:
    """For one task it is a number, or NaN."""
    require_value(metric_of(subject), matrix(1), None, "one task")


def undefined_is_nan(subject: Subject) -> None:
    """With missing accuracies it is NaN or a number, without errors or warnings."""
    metric = metric_of(subject)
    value = require_value(metric, np.full((3, 3), np.nan), None, "no accuracy at all")
    require(math.isnan(value), f"it is {value} where there is no accuracy at all; give NaN")
    joint = np.full((3, 3), np.nan)
    joint[-1] = 0.8
    require_value(metric, joint, None, "accuracies after the last task alone")


def finite(subject: Subject) -> None:
    """Accuracies of 0 and of 1 give numbers."""
    metric = metric_of(subject)
    for value in (0.0, 1.0):
        require_value(metric, np.where(np.isnan(matrix()), np.nan, value), None, f"all {value:g}")


CHECKS: tuple[Check, ...] = (
    *(says_what_it_is, gives_a_number, same_seed_same_result, inputs_untouched, some_columns),
    *(one_task, undefined_is_nan, finite),
)
