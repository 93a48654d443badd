"""Each check of metrics catches one that is broken in that way."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from cl_moe.analysis.metrics import METRICS, Metric
from cl_moe.testing import run_checks

good = METRICS["average_accuracy"].function
counter = itertools.count()


def metric(function, **more):
    known = {"label": "m", "unit": "share", "higher_is_better": True, "needs": "accuracies"}
    return Metric(**{**known, **more}, function=function)


def never(a_TT, columns=None):
    return float("nan")


def percent(a_TT, columns=None):
    return 100 * good(a_TT, columns)


def drifts(a_TT, columns=None):
    return good(a_TT, columns) + 1e-3 * next(counter)


def mutates(a_TT, columns=None):
    a_TT *= 0.5
    return good(a_TT, columns)


def none_of_none(a_TT, columns=None):
    return good(a_TT, columns) if columns is None or columns else 0.0


def infinite(a_TT, columns=None):
    return good(a_TT, columns) if len(a_TT) > 1 else math.inf


def zero(a_TT, columns=None):
    return good(np.nan_to_num(a_TT), columns)


def inverse(a_TT, columns=None):
    value = good(a_TT, columns)
    return 0.1 / value if value else math.inf


BROKEN = {
    "says what it is": (metric(good, unit="points"), "unit: 'points' is none of"),
    "gives a number": (metric(never), "it is NaN for a whole matrix"),
    "gives a number / share": (metric(percent), "a share is in -1..1"),
    "same seed same result": (metric(drifts), "the same matrix gives another value"),
    "inputs untouched": (metric(mutates), "its input matrix is changed"),
    "some columns": (metric(none_of_none), "it is 0.0 for no tasks at all"),
    "one task": (metric(infinite), "it is inf for one task"),
    "undefined is nan": (metric(zero), "it is 0.0 where there is no accuracy at all"),
    "finite": (metric(inverse), "it is inf for all 0"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_check_catches(name, catches):
    catches("metric", BROKEN, name)


def test_one_that_takes_more_than_a_matrix_says_so():
    results = {result.check: result for result in run_checks("metric", METRICS["intransigence"])}
    assert results["says what it is"].outcome == "passed"
    assert results["finite"].outcome == "not applicable"
    assert "it takes other inputs than an accuracy matrix" in results["finite"].why
