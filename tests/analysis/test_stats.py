from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as scipy_stats

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.stats import (
    interval,
    intervals,
    paired,
    paired_records,
    summary,
    summary_records,
    t_band,
)
from cl_moe.errors import InputError

VALUES = st.lists(st.floats(0, 1), min_size=2, max_size=9)


@given(VALUES)
def test_few_seeds_have_students_interval_around_their_mean(values: list[float]) -> None:
    found = interval(values)
    assert found.kind == "t"
    assert found.low <= found.mean + 1e-12
    assert found.high >= found.mean - 1e-12
    if np.ptp(values) > 1e-6:
        low, high = scipy_stats.t.interval(
            0.95, len(values) - 1, np.mean(values), scipy_stats.sem(values)
        )
        assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))


@settings(max_examples=10, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=10, max_size=14), st.randoms(use_true_random=False))
def test_many_seeds_have_a_bootstrap_that_ignores_their_order(values: list[float], rng) -> None:
    shuffled = list(values)
    rng.shuffle(shuffled)
    found = interval(values)
    assert found == interval(shuffled)
    assert found.kind == "bootstrap"
    assert min(values) - 1e-12 <= found.low <= found.high <= max(values) + 1e-12


def test_one_seed_has_a_mean_and_no_interval() -> None:
    found = interval([0.7])
    assert (found.mean, found.seeds, found.kind) == (0.7, 1, "none")
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_no_defined_value_is_undefined() -> None:
    found = interval([float("nan")])
    assert np.isnan(found.mean)
    assert found.seeds == 0


@pytest.mark.parametrize("count", [3, 12])
def test_equal_values_have_an_interval_of_no_width(count: int) -> None:
    found = interval([0.1] * count)
    assert found.low == found.mean == found.high == pytest.approx(0.1)


def test_a_target_never_reached_is_not_averaged_away() -> None:
    assert interval([8, float("inf")])[:2] == (np.inf, pytest.approx(np.nan, nan_ok=True))
    assert np.isnan(interval([-np.inf, np.inf]).mean)


def test_band_is_the_interval_at_every_point() -> None:
    values_SX = np.random.default_rng(0).uniform(size=(5, 3))
    values_SX[2:, 1] = np.nan
    low, high = t_band(values_SX)
    for x in range(3):
        found = interval(values_SX[:, x])
        assert (low[x], high[x]) == (pytest.approx(found.low), pytest.approx(found.high))
    assert np.isnan(t_band([[0.5]])[0]).all()


def test_summary_has_a_row_for_every_aggregate(study: StudyData) -> None:
    frame = summary(study)
    assert list(frame.columns) == [
        "method", "metric", "group", "mean", "low", "high", "seeds", "interval",
    ]  # fmt: skip
    assert not frame.duplicated(["method", "metric", "group"]).any()
    accuracy = intervals(frame)["experts", "average_accuracy", None]
    assert accuracy.seeds == 5
    assert accuracy.low < accuracy.mean < accuracy.high <= 1
    undefined = intervals(frame)["experts", "forward_transfer", None]
    assert undefined.seeds == 0


def test_records_are_json_with_null_for_the_undefined(study: StudyData) -> None:
    records = json.loads(json.dumps(summary_records(study), allow_nan=False))
    assert all(
        list(r) == ["method", "metric", "group", "mean", "low", "high", "seeds"] for r in records
    )
    by_key = {(r["method"], r["metric"], r["group"]): r for r in records}
    assert by_key["dense", "forward_transfer", None]["mean"] is None
    assert by_key["dense", "average_accuracy", "low_resource"]["seeds"] == 5
    assert isinstance(by_key["dense", "average_accuracy", None]["seeds"], int)


def test_one_seeds_records_have_no_interval(make: Callable[..., StudyData]) -> None:
    records = summary_records(make(seeds=1))
    found = next(r for r in records if r["metric"] == "average_accuracy" and r["group"] is None)
    assert found["mean"] is not None
    assert found["low"] is found["high"] is None


def test_paired_differences_cancel_what_seeds_share(study_of: Callable[..., StudyData]) -> None:
    levels = [0.2, 0.5, 0.8]
    data = study_of({"a": [[[v + 0.1]] for v in levels], "b": [[[v]] for v in levels]})
    found = intervals(paired(data, "b"))["a", "average_accuracy", None]
    assert (found.mean, found.low, found.high) == tuple(pytest.approx(0.1) for _ in range(3))
    assert {"b"} == set(paired(data, "b")["baseline"])
    assert "b" not in set(paired(data, "b")["method"])


def test_only_seeds_that_both_have_are_paired(study_of: Callable[..., StudyData]) -> None:
    data = study_of({"a": [[[0.9]], [[0.1]]], "b": [[[0.5]]]})
    found = intervals(paired(data, "b"))["a", "average_accuracy", None]
    assert (found.mean, found.seeds) == (pytest.approx(0.4), 1)


def test_paired_takes_the_studys_baseline_and_keeps_groups(study: StudyData) -> None:
    frame = paired(study)
    assert list(frame.columns) == [
        "method", "metric", "group", "baseline", "mean", "low", "high", "seeds", "interval",
    ]  # fmt: skip
    assert set(frame["baseline"]) == {"dense"}
    assert ("experts", "average_accuracy", "low_resource") in intervals(frame)
    assert paired(replace(study, baseline=None)).empty
    assert all("baseline" in record for record in paired_records(study))


def test_an_unknown_baseline_is_an_error(study: StudyData) -> None:
    with pytest.raises(
        InputError, match="'single_tas' is not a method of the study; did you mean 'single_task"
    ):
        paired(study, "single_tas")
