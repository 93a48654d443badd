from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.plots.style import FIXED, styles
from cl_moe.analysis.shortfalls import compare, method_of_interest, task_shortfalls


def test_the_method_that_decides_is_of_interest(study: StudyData) -> None:
    assert method_of_interest(study) == "experts"
    assert method_of_interest(replace(study, events=[])) == "experts"
    assert method_of_interest(replace(study, events=[], baseline="experts")) == "dense"


def test_a_variant_that_is_listed_first_does_not_stand_for_its_type(
    study_of: Callable[..., StudyData],
) -> None:
    data = study_of({"mntdp": [[[0.5]]], "moe": [[[0.6]]]})
    event = {"seed": 0, "task": 0, "name": "t0", "kind": "fresh", "sentence": "", "path": []}
    data = replace(
        data,
        methods=data.methods.assign(type="moe"),
        events=[{**event, "method": name} for name in ("mntdp", "moe")],
    )
    assert data.of_type("moe") == "moe"
    assert method_of_interest(data) == "moe"
    assert styles(data)["moe"] == FIXED["moe"]
    assert styles(data)["mntdp"].colour != FIXED["moe"].colour


def test_only_references_leave_the_first(study_of: Callable[..., StudyData]) -> None:
    assert (
        method_of_interest(study_of({"single_task": [[[0.5]]], "joint": [[[0.6]]]}))
        == "single_task"
    )


def test_a_clear_loss_is_told_from_one_the_seeds_do_not_settle(
    study_of: Callable[..., StudyData],
) -> None:
    worse = [[[0.50]], [[0.51]], [[0.52]]]
    data = study_of(
        {
            "moe": worse,
            "clear": [[[0.70]], [[0.71]], [[0.72]]],
            "unclear": [[[0.10]], [[0.60]], [[0.90]]],
            "below": [[[0.1]], [[0.1]], [[0.1]]],
        }
    )
    shortfalls, compared = compare(data, "moe")
    assert compared == 3
    assert {shortfall.rival: shortfall.clear for shortfall in shortfalls} == {
        "clear": True,
        "unclear": False,
    }


def test_less_forgetting_is_no_loss(study: StudyData) -> None:
    shortfalls, _ = compare(study, "experts")
    assert not [shortfall for shortfall in shortfalls if shortfall.what == "forgetting"]
    shortfalls, _ = compare(study, "dense")
    assert {shortfall.rival for shortfall in shortfalls if shortfall.what == "forgetting"} == {
        "experts", "ewc", "single_task",
    }  # fmt: skip


def test_rounding_is_no_loss(study_of: Callable[..., StudyData]) -> None:
    data = study_of({"a": [[[0.3]]], "single_task": [[[0.1 + 0.2]]]})
    assert compare(data, "a")[0] == []
    assert task_shortfalls(data, "a") == []


def test_tasks_that_end_below_alone(study_of: Callable[..., StudyData]) -> None:
    nan = np.nan
    data = study_of(
        {"a": [[[0.9, nan], [0.4, 0.8]]], "single_task": [[[0.7, nan], [0.7, 0.7]]]}
    )  # fmt: skip
    (shortfall,) = task_shortfalls(data, "a")
    assert shortfall.what == "t0"
    assert shortfall.difference.mean == pytest.approx(-0.3)
    assert "no interval, 1 seed)" in shortfall.sentence
    assert task_shortfalls(data, "single_task") == []
