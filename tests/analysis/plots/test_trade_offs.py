from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.plots import (
    AbsentError,
    cost_data,
    draw_cost,
    draw_samples,
    samples_data,
)


def test_costs_are_paired_with_accuracy(study: StudyData) -> None:
    info = cost_data(study)
    assert list(info.panels) == ["parameters", "flops_predict", "train_seconds"]
    cost, accuracy = info.panels["parameters"]["dense"]
    assert cost.mean == 52_000 + 6 * 1300
    assert 0 < accuracy.mean < 1


def test_costs_of_one_size_and_of_many_are_drawn(study: StudyData) -> None:
    rows = study.rows.copy()
    rows.loc[(rows["metric"] == "parameters") & (rows["method"] == "single_task"), "value"] *= 1000
    panels = draw_cost(cost_data(replace(study, rows=rows))).axes
    assert panels[0].get_xscale() == "log"
    assert panels[1].get_xscale() == "log"
    low, high = panels[1].get_xlim()
    assert high / low >= 9.99


def test_no_interval_is_cut(study: StudyData) -> None:
    timings = study.timings.copy()
    timings.loc[timings["method"] == "dense", "train_seconds"] *= 1 + 3 * timings["seed"]
    info = cost_data(replace(study, timings=timings))
    ax = draw_cost(info).axes[2]
    low, high = ax.get_xlim()
    for cost, _ in info.panels["train_seconds"].values():
        assert high > cost.high
        assert low < max(cost.low, cost.mean / 10)


def test_without_costs_there_is_no_figure(study_of: Callable[..., StudyData]) -> None:
    with pytest.raises(AbsentError, match="parameters"):
        cost_data(study_of({"dense": [[[0.5]]]}))


def test_samples_by_size_with_alones_target(study: StudyData) -> None:
    info = samples_data(study)
    assert list(info.curves) == ["digits"]
    np.testing.assert_array_equal(info.curves["digits"]["ewc"].x, [8, 32, 128, 512])
    single_task = info.curves["digits"]["single_task"]
    assert info.targets["digits"] == pytest.approx(0.95 * single_task.mean[-1])
    ax = draw_samples(info).axes[0]
    assert [tick.get_text() for tick in ax.get_xticklabels()] == ["8", "32", "128", "512"]


def test_without_alone_there_is_no_target(make: Callable[..., StudyData]) -> None:
    info = samples_data(make(seeds=2, methods=[("experts", "moe"), ("dense", "dense")]))
    assert info.targets == {}
    assert draw_samples(info).axes


def test_without_probes_of_two_sizes_there_is_no_figure(make: Callable[..., StudyData]) -> None:
    with pytest.raises(AbsentError, match="two sizes"):
        samples_data(make(seeds=1, probes=(8,)))
