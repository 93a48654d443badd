from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.metrics import (
    learning_curve_area,
    probe_families,
    samples_to_target,
    unrelated_slope,
    unrelated_split,
)

CURVE = st.lists(st.floats(0, 1), min_size=1, max_size=8)
SIZES = st.dictionaries(st.integers(1, 1000), st.floats(0.01, 1), min_size=2, max_size=6)


@given(CURVE)
def test_area_lies_within_the_curve_and_is_padded_with_its_end(values: list[float]) -> None:
    area = learning_curve_area(list(enumerate(values)))
    assert min(values) - 1e-9 <= area <= max(values) + 1e-9
    padded = values + [values[-1]] * 10
    assert learning_curve_area(list(enumerate(padded))) == pytest.approx(area)


def test_area_stops_at_beta_and_carries_values_over_gaps() -> None:
    assert learning_curve_area([(0, 0.0), (1, 1.0), (6, 0.0)], beta=1) == 0.5
    assert learning_curve_area([(0, 0.0), (2, 0.6)], beta=2) == pytest.approx(0.2)
    assert np.isnan(learning_curve_area([]))


@given(SIZES)
def test_alone_reaches_its_own_target_with_all_data_at_the_latest(
    single_task: dict[int, float],
) -> None:
    assert samples_to_target(single_task, single_task) <= max(single_task)


@given(SIZES, st.floats(0, 0.5))
def test_better_at_every_size_never_needs_more(single_task: dict[int, float], gain: float) -> None:
    better = {n: value + gain for n, value in single_task.items()}
    assert samples_to_target(better, single_task) <= samples_to_target(single_task, single_task)


def test_samples_need_two_sizes_and_no_holes_before_the_answer() -> None:
    single_task = {8: 0.5, 64: 0.9}
    assert np.isnan(samples_to_target({8: 0.9}, {8: 0.9}))
    assert np.isnan(samples_to_target({64: 0.9}, single_task))
    assert np.isnan(samples_to_target({8: 0.9, 64: 0.9}, {8: 0.5}))
    assert samples_to_target({8: 0.9}, single_task) == 8


@given(st.floats(-0.05, 0.05), st.integers(1, 4), st.integers(1, 5))
def test_slope_of_a_straight_line_is_its_slope(slope: float, base: int, added: int) -> None:
    length = base + added
    a_TT = np.full((length, length), np.nan)
    for k in range(base - 1, length):
        a_TT[k, :base] = 0.5 + slope * (k - base + 1)
    found = unrelated_slope(a_TT, range(base), range(base, length))
    assert found == pytest.approx(slope, abs=1e-9)


def test_slope_needs_base_and_unrelated_tasks() -> None:
    assert np.isnan(unrelated_slope(np.eye(2), [], [0, 1]))
    assert np.isnan(unrelated_slope(np.eye(2), [0, 1], []))


def test_split_takes_the_tasks_before_the_first_unrelated_one(study: StudyData) -> None:
    assert unrelated_split(study) == ([0, 1, 2, 3, 4], [5])
    tasks = study.tasks.assign(relation=None, group=None)
    assert unrelated_split(replace(study, tasks=tasks)) == ([], [])
    tasks.loc[0, "relation"] = "unrelated"
    assert unrelated_split(replace(study, tasks=tasks)) == ([], [])


@pytest.mark.parametrize(
    ("names", "families"),
    [
        (["new@1", "new@4"], {"new": {10: "new@1", 40: "new@4"}}),  # examples a class
        (["new-10", "new-40"], {"new": {10: "new-10", 40: "new-40"}}),  # examples in all
        (["new n=10", "new n=40"], {"new": {10: "new n=10", 40: "new n=40"}}),
        (["task-7", "task-2"], {}),  # numbered tasks, not sizes
        (["a@1", "b@4"], {}),
        (["letters", "signs"], {}),
    ],
)
def test_families_are_told_by_the_size_in_their_names(
    make: Callable[..., StudyData], names: list[str], families: dict[str, dict[int, str]]
) -> None:
    data = make(seeds=1, probes=(10, 40))
    tasks = data.tasks.assign(
        task=data.tasks["task"].replace({"digits-10": names[0], "digits-40": names[1]})
    )
    assert probe_families(replace(data, tasks=tasks)) == families
