from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.frames import PAIR_COLUMNS
from cl_moe.analysis.metrics import (
    forward_transfer,
    intransigence,
    last_task_transfer,
    learning_transfer,
    pair_gains,
    single_task_accuracies,
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


@given(FULL)
def test_what_comes_second_as_well_as_alone_gains_nothing(pair_TT: np.ndarray) -> None:
    single_task_T = pair_TT[0]
    gain_TT = transfer_matrix(np.tile(single_task_T, (4, 1)), single_task_T)
    off = ~np.eye(4, dtype=bool)
    assert (gain_TT[off] == 0).all()
    assert np.isnan(np.diag(gain_TT)).all()


@given(FULL, st.floats(-1, 1))
def test_a_better_reference_takes_from_every_gain_alike(pair_TT: np.ndarray, by: float) -> None:
    off = ~np.eye(4, dtype=bool)
    lost = transfer_matrix(pair_TT, np.zeros(4)) - transfer_matrix(pair_TT, np.full(4, by))
    np.testing.assert_allclose(lost[off], by, atol=1e-9)


def test_a_reference_evaluated_only_at_the_end_is_read_there(
    study_of: Callable[..., StudyData],
) -> None:
    nan = np.nan
    data = study_of({"single_task": [[[nan, nan, nan], [nan, 0.7, nan], [0.9, 0.6, 0.5]]]})
    assert single_task_accuracies(data)[0].tolist() == [0.9, 0.7, 0.5]


def test_pair_gains_are_against_alone_of_the_same_seed(
    study_of: Callable[..., StudyData],
) -> None:
    nan = np.nan
    data = study_of({"single_task": [[[0.9, nan], [0.9, 0.5]], [[0.8, nan], [0.8, 0.6]]]})
    pairs = [("moe", 0, "t0", "t1", 0.8), ("moe", 1, "t0", "t1", 0.8), ("moe", 2, "t1", "t0", 0.7)]
    gains = pair_gains(replace(data, pairs=pd.DataFrame(pairs, columns=list(PAIR_COLUMNS))))
    cells = {tuple(cell): value for *cell, value in gains.drop(columns="method").to_numpy()}
    assert set(cells) == {
        (seed, *pair) for seed in range(3) for pair in (("t0", "t1"), ("t1", "t0"))
    }
    assert cells[0, "t0", "t1"] == pytest.approx(0.3)
    assert cells[1, "t0", "t1"] == pytest.approx(0.2)
    assert np.isnan(cells[0, "t1", "t0"])  # not measured
    assert np.isnan(cells[2, "t1", "t0"])  # nothing to compare with
    assert pair_gains(data).empty
