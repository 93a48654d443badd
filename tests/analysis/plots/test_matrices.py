from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.plots import (
    AbsentError,
    accuracy_matrix_data,
    draw_accuracy_matrix,
    draw_transfer,
    transfer_data,
)


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


def test_tasks_are_numbered_as_in_decisions(study: StudyData) -> None:
    ax = draw_accuracy_matrix(accuracy_matrix_data(study)).axes[0]
    assert ax.get_yticklabels()[0].get_text() == "0 mnist"
    assert [tick.get_text() for tick in ax.get_xticklabels()] == list("012345")
