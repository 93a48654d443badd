from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.metrics import (
    forward_transfer,
    intransigence,
    last_task_transfer,
    learning_transfer,
    pair_gains,
    transfer_matrix,
)

FULL = arrays(np.float64, (4, 4), elements=st.floats(0, 1))


@given(FULL)
def test_a_method_against_itself_transfers_nothing(a_TT: np.ndarray) -> None:
    assert learning_transfer(a_TT, np.diag(a_TT)) == 0
    assert intransigence(a_TT, np.diag(a_TT)) == 0
    assert last_task_transfer(a_TT, np.diag(a_TT)) == 0


@given(FULL, st.floats(-1, 1))
def test_transfer_moves_with_what_it_is_measured_against(a_TT: np.ndarray, by: float) -> None:
    own = np.diag(a_TT)
    assert learning_transfer(a_TT, own - by) == pytest.approx(by, abs=1e-9)
    assert intransigence(a_TT, own + by) == pytest.approx(by, abs=1e-9)


@given(FULL)
def test_forward_transfer_looks_only_above_the_diagonal(a_TT: np.ndarray) -> None:
    below = a_TT.copy()
    below[np.tril_indices(4)] = 0.123
    zero = np.zeros(4)
    assert forward_transfer(a_TT, zero) == forward_transfer(below, zero)


def test_forward_transfer_without_heads_is_undefined_not_zero() -> None:
    a_TT = np.array([[0.9, np.nan], [0.8, 0.7]])
    assert np.isnan(forward_transfer(a_TT, np.array([0.1, np.nan])))
    assert np.isnan(forward_transfer(np.array([[0.9]]), np.array([0.1])))


def test_one_task_has_no_last_task_transfer() -> None:
    assert np.isnan(last_task_transfer(np.array([[0.9]]), np.array([0.5])))


def test_matrix_of_pairs_keeps_the_order_asked_for() -> None:
    gains = transfer_matrix({("a", "b"): 0.9}, {"b": 0.6}, ["b", "a", "c"])
    assert list(gains.columns) == list(gains.index) == ["b", "a", "c"]
    assert gains.loc["a", "b"] == pytest.approx(0.3)
    assert gains.notna().to_numpy().sum() == 1


def test_pair_gains_are_paired_by_seed_and_pass_over_other_studies(
    study: StudyData, study_of: Callable[..., StudyData]
) -> None:
    nan = np.nan
    runs = {
        "moe": [[[0.9, nan], [0.9, 0.8]], [[0.9, nan], [0.9, 0.6]]],
        "alone": [[[0.9, nan], [0.9, 0.5]]],
    }
    gains = pair_gains([study, study_of(runs)], "moe")
    assert gains.loc["t0", "t1"] == pytest.approx(0.3)  # seed 1 has nothing to compare with
    assert pair_gains([study], "experts").empty
