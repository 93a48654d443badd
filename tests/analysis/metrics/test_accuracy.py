from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cl_moe.analysis.metrics import (
    average_accuracy,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
)

SHARE = st.floats(0, 1)


@st.composite
def matrices(draw: st.DrawFn, least: int = 1) -> np.ndarray:
    """Accuracy matrices as a run leaves them: NaN above the diagonal."""
    count = draw(st.integers(least, 6))
    a_TT = draw(arrays(np.float64, (count, count), elements=SHARE))
    a_TT[np.triu_indices(count, 1)] = np.nan
    return a_TT


@given(matrices())
def test_averages_lie_between_the_lowest_and_the_highest(a_TT: np.ndarray) -> None:
    for metric in (average_accuracy, average_incremental_accuracy):
        assert np.nanmin(a_TT) - 1e-9 <= metric(a_TT) <= np.nanmax(a_TT) + 1e-9


@given(matrices(least=2))
def test_forgetting_is_at_least_minus_backward_transfer(a_TT: np.ndarray) -> None:
    assert forgetting(a_TT) >= -backward_transfer(a_TT) - 1e-9
    assert -1 <= forgetting(a_TT) <= 1


@given(matrices(least=2))
def test_forgetting_is_not_negative_where_the_end_is_not_above_the_past(a_TT: np.ndarray) -> None:
    past = np.array([np.nanmax(a_TT[j:-1, j]) for j in range(len(a_TT) - 1)])
    a_TT[-1, :-1] = np.minimum(a_TT[-1, :-1], past)
    assert forgetting(a_TT) >= 0


@given(st.integers(2, 6), st.data())
def test_constant_columns_neither_forget_nor_transfer_back(count: int, data: st.DataObject) -> None:
    level_T = data.draw(arrays(np.float64, count, elements=SHARE))
    a_TT = np.tril(np.ones((count, count))) * level_T
    assert backward_transfer(a_TT) == 0
    assert forgetting(a_TT) == 0


@given(matrices())
def test_all_columns_are_the_same_as_none_named(a_TT: np.ndarray) -> None:
    columns = range(len(a_TT))
    metrics = (average_accuracy, average_incremental_accuracy, forgetting, backward_transfer)
    for metric in metrics:
        np.testing.assert_equal(metric(a_TT, columns), metric(a_TT))


@given(matrices(least=2), st.data())
def test_average_accuracy_is_made_of_its_groups(a_TT: np.ndarray, data: st.DataObject) -> None:
    cut = data.draw(st.integers(1, len(a_TT) - 1))
    left, right = range(cut), range(cut, len(a_TT))
    whole = cut * average_accuracy(a_TT, left) + len(right) * average_accuracy(a_TT, right)
    assert whole / len(a_TT) == pytest.approx(average_accuracy(a_TT))


def test_one_task_has_no_forgetting() -> None:
    a_TT = np.array([[0.8]])
    assert average_accuracy(a_TT) == 0.8
    assert np.isnan(forgetting(a_TT))
    assert np.isnan(backward_transfer(a_TT))


def test_a_method_with_rows_only_at_the_end_has_only_an_average() -> None:
    joint = np.full((3, 3), np.nan)
    joint[-1] = [0.9, 0.8, 0.7]
    assert average_accuracy(joint) == pytest.approx(0.8)
    for metric in (average_incremental_accuracy, forgetting, backward_transfer):
        assert np.isnan(metric(joint))


def test_a_missing_value_makes_the_mean_undefined_not_smaller() -> None:
    a_TT = np.array([[0.9, np.nan], [np.nan, 0.8]])
    assert np.isnan(average_accuracy(a_TT))
    assert average_accuracy(a_TT, [1]) == 0.8


def test_forgetting_uses_the_evaluations_that_were_made() -> None:
    a_TT = np.array([[0.6, np.nan, np.nan], [np.nan, 0.7, np.nan], [0.5, 0.7, 0.8]])
    assert forgetting(a_TT, [0]) == pytest.approx(0.1)


def test_incremental_accuracy_of_a_group_starts_with_its_first_task() -> None:
    a_TT = np.array([[0.1, np.nan, np.nan], [0.1, 0.6, np.nan], [0.1, 0.8, 0.9]])
    assert average_incremental_accuracy(a_TT, [1]) == pytest.approx(0.7)
