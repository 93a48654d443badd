from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.plots import (
    AbsentError,
    average_data,
    draw_average,
    draw_forgetting,
    forgetting_data,
)


def test_a_tasks_curve_starts_when_it_is_learned(study: StudyData) -> None:
    info = forgetting_data(study)
    assert list(info.curves) == study.stream_tasks
    curve = info.curves["kmnist"]["dense"]
    np.testing.assert_array_equal(curve.x, [4, 5, 6])
    runs = np.stack([study.accuracies()["dense", seed][3:, 3] for seed in range(5)])
    np.testing.assert_allclose(curve.mean, runs.mean(axis=0))
    assert (curve.low < curve.mean).all()
    assert info.note == ""


def test_a_long_stream_shows_some_tasks_and_says_so(study: StudyData) -> None:
    info = forgetting_data(study, most=3)
    assert list(info.curves) == ["mnist", "mnist-inverted", "fashion-permuted"]
    assert info.note == "3 of 6 tasks shown, evenly chosen"
    assert info.note in draw_forgetting(info).get_supxlabel()


def test_one_task_has_no_curves(make: Callable[..., StudyData]) -> None:
    data = make(seeds=1, tasks=[("mnist", "rich", None, None, 60, 0.9)])
    for function in (forgetting_data, average_data):
        with pytest.raises(AbsentError, match="two tasks or more"):
            function(data)


def test_a_method_with_only_an_end_is_one_point(study_of: Callable[..., StudyData]) -> None:
    nan = np.nan
    data = study_of({"dense": [[[0.9, nan], [0.5, 0.8]]], "joint": [[[nan, nan], [0.9, 0.9]]]})
    np.testing.assert_array_equal(average_data(data).curves["joint"].x, [2])
    np.testing.assert_allclose(average_data(data).curves["dense"].mean, [0.9, 0.65])
    assert draw_forgetting(forgetting_data(data)).axes
    assert draw_average(average_data(data)).axes


def test_the_drawing_has_a_panel_a_task_and_a_line_a_method(study: StudyData) -> None:
    drawn = draw_forgetting(forgetting_data(study))
    panels = [ax for ax in drawn.axes if ax.get_visible()]
    assert [ax.get_title() for ax in panels] == study.stream_tasks
    assert all(len(ax.lines) == 4 for ax in panels)
    (legend,) = drawn.legends
    assert [text.get_text() for text in legend.get_texts()] == study.method_names
    low, high = panels[0].get_ylim()
    assert 0 <= low < high <= 1.02


def test_a_panel_above_an_empty_one_has_its_tick_labels(make: Callable[..., StudyData]) -> None:
    tasks = [(f"t{k}", "rich", None, None, 60, 0.5) for k in range(7)]
    drawn = draw_forgetting(forgetting_data(make(seeds=2, tasks=tasks)))
    panels = [ax for ax in drawn.axes if ax.get_visible()]
    labelled = [bool(ax.xaxis.get_tick_params()["labelbottom"]) for ax in panels]
    assert labelled == [False, False, False, True, True, True, True]


def test_lines_keep_their_look_in_both_figures(study: StudyData) -> None:
    average = draw_average(average_data(study)).axes[0]
    panel = draw_forgetting(forgetting_data(study)).axes[0]
    assert average.lines
    for one, other in zip(average.lines, panel.lines, strict=True):
        assert one.get_color() == other.get_color()
        assert one.get_marker() == other.get_marker()


def test_two_seeds_that_disagree_do_not_stretch_the_axis(
    study_of: Callable[..., StudyData],
) -> None:
    nan = np.nan
    runs = [[[0.95, nan], [0.94, 0.93]], [[0.90, nan], [0.80, 0.92]]]
    ax = draw_average(average_data(study_of({"dense": runs}))).axes[0]
    low, high = ax.get_ylim()
    assert 0.8 < low < 0.86
    assert high <= 1.02
    assert not ax.collections  # no band
    _, *seeds = [list(line.get_ydata()) for line in ax.lines]
    assert seeds == [pytest.approx([0.95, 0.935]), pytest.approx([0.90, 0.86])]
