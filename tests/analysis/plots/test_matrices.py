from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.plots import (
    AbsentError,
    accuracy_matrix_data,
    candidate_gains_data,
    draw_accuracy_matrix,
    draw_gains,
    draw_transfer,
    transfer_data,
)
from cl_moe.analysis.plots.matrices import Gains


def test_matrices_are_means_over_seeds(study: StudyData) -> None:
    info = accuracy_matrix_data(study)
    assert list(info.matrices) == study.method_names
    runs = np.stack([study.accuracies()["ewc", seed] for seed in range(5)])
    np.testing.assert_allclose(info.matrices["ewc"], runs.mean(axis=0))


def test_cells_are_printed_in_per_cent(study_of: Callable[..., StudyData]) -> None:
    nan = np.nan
    data = study_of({"dense": [[[0.9, nan], [0.504, 0.8]]]})
    ax = draw_accuracy_matrix(accuracy_matrix_data(data)).axes[0]
    assert sorted(text.get_text() for text in ax.texts if text.get_text()) == ["50", "80", "90"]


def test_candidates_are_compared_with_fresh(study: StudyData) -> None:
    gains = candidate_gains_data(study, "experts").gains
    assert gains.loc["mnist", "mnist-inverted"] == pytest.approx(0.31)
    assert gains.loc["fashion", "fashion-permuted"] == pytest.approx(-0.03)
    assert np.isnan(gains.loc["fashion", "kmnist-low"])
    assert "mnist" not in gains.columns  # the first task had nothing to start from


def test_many_tasks_are_thinned_and_that_is_said(study: StudyData) -> None:
    info = candidate_gains_data(study, "experts", most=2)
    assert list(info.gains.columns) == ["fashion", "fashion-permuted"]
    assert info.column_label == "new task (2 of 5 shown)"
    assert info.gains.notna().any(axis=1).all()


def test_without_a_fresh_candidate_there_is_no_gain(study: StudyData) -> None:
    events = [{**event, "candidates": []} for event in study.events]
    with pytest.raises(AbsentError, match="a fresh one"):
        candidate_gains_data(replace(study, events=events), "experts")


def test_transfer_comes_from_pairs(study: StudyData, paired_study: StudyData) -> None:
    with pytest.raises(AbsentError, match="cl-moe transfer"):
        transfer_data(study)
    info = transfer_data(paired_study)
    assert list(info.matrices) == ["dense", "experts"]
    assert info.tasks == study.stream_tasks
    gain_TT = info.matrices["experts"]
    np.testing.assert_allclose(gain_TT[0, 1:], 0.1)
    assert np.isnan(gain_TT[:, 0]).all()
    assert np.isnan(np.diag(gain_TT)).all()


def test_transfer_is_drawn_with_signs_a_panel_a_method(paired_study: StudyData) -> None:
    panels = draw_transfer(transfer_data(paired_study)).axes[:2]
    assert [ax.get_title() for ax in panels] == ["dense", "experts"]
    texts = [{t.get_text() for t in ax.texts} - {""} for ax in panels]
    assert texts == [{"-2"}, {"+10", "0"}]
    low, high = panels[0].collections[0].get_clim()
    assert low == -high


def test_gains_are_drawn_with_signs_around_zero() -> None:
    frame = pd.DataFrame([[0.1, -0.2], [0.0, np.nan]], index=["a", "b"], columns=["c", "d"])
    ax = draw_gains(Gains(frame, "from", "to", "gain")).axes[0]
    assert [text.get_text() for text in ax.texts if text.get_text()] == ["+10", "-20", "0"]
    low, high = ax.collections[0].get_clim()
    assert low == -high
