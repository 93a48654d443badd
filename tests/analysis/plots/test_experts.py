from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.plots import (
    AbsentError,
    draw_timeline,
    draw_usage,
    timeline_data,
    usage_data,
)
from cl_moe.analysis.plots.experts import MARKS, RAW, Mark


def test_usage_is_a_table_a_layer(study: StudyData) -> None:
    info = usage_data(study, "experts")
    assert info.seed == 0
    assert info.experts == [["a", "b"], ["p", "q", "r"]]
    np.testing.assert_array_equal(info.shares[0][4], [0.25, 0.75])
    assert [share.shape for share in info.shares] == [(6, 2), (6, 3)]
    assert len(draw_usage(info).axes) == 3  # two layers and the bar


def test_only_the_most_used_experts_are_shown_and_that_is_said(study: StudyData) -> None:
    info = usage_data(study, "experts", most=2)
    assert info.experts == [["a", "b"], ["p", "q"]] or info.experts == [["a", "b"], ["p", "r"]]
    assert "2 most used" in info.note
    assert info.note in draw_usage(info).get_supxlabel()


def test_rows_add_up_with_the_raw_input(study: StudyData) -> None:
    last = {**study.events[5], "usage": [{"a": 0.7}, {"p": 0.2, "r": 0.5}]}
    info = usage_data(replace(study, events=[*study.events[:5], last]), "experts")
    assert [ids[-1] for ids in info.experts] == [RAW, RAW]
    for share in info.shares:
        np.testing.assert_allclose(share.sum(axis=1), 1)
        np.testing.assert_allclose(share[:, -1], [0, 0, 0, 0, 0, 0.3])


def test_figures_of_one_run_say_its_seed(study: StudyData) -> None:
    assert "seed 3" in draw_usage(usage_data(study, "experts", seed=3)).get_supxlabel()
    drawn = draw_timeline(timeline_data(study, "experts", seed=3))
    assert "seed 3" in drawn.axes[-1].get_xlabel()


def test_another_seed_can_be_asked_for(study: StudyData) -> None:
    assert usage_data(study, "experts", seed=3).seed == 3
    with pytest.raises(AbsentError):
        usage_data(study, "experts", seed=77)


def test_a_method_without_decisions_has_neither(study: StudyData) -> None:
    for function in (usage_data, timeline_data):
        with pytest.raises(AbsentError, match="'dense' logged none"):
            function(study, "dense")


def test_marks_say_what_became_of_each_expert(study: StudyData) -> None:
    info = timeline_data(study, "experts")
    first, second = info.marks
    assert Mark(0, 0, "fresh") in first
    assert Mark(1, 0, "reuse") in first  # layer 1 is shared where only layer 2 was copied
    assert Mark(1, 1, "copy") in second
    assert Mark(2, 0, "matched") in first
    assert Mark(5, 1, "reassign") in first
    assert {mark.kind for marks in info.marks for mark in marks} <= set(MARKS)


def test_the_experts_a_network_begins_with_are_born_at_their_first_use(study: StudyData) -> None:
    events = [{**study.events[0], "new_experts": []}, *study.events[1:]]
    first, second = timeline_data(replace(study, events=events), "experts").marks
    assert Mark(0, 0, "fresh") in first
    assert Mark(0, 0, "fresh") in second


def test_only_what_was_retrained_is_reassigned(study: StudyData) -> None:
    events = [*study.events[:5], {**study.events[5], "retrained": [[1, "q"]]}]
    first, second = timeline_data(replace(study, events=events), "experts").marks
    assert Mark(5, 1, "reuse") in first
    assert Mark(5, 1, "reassign") in second


def test_an_average_without_a_path_marks_what_it_uses(study: StudyData) -> None:
    events = [{**e, "path": []} if e["kind"] == "ensemble" else e for e in study.events]
    info = timeline_data(replace(study, events=events), "experts")
    assert {mark.y for mark in info.marks[1] if mark.kind == "ensemble"} == {0, 1, 2}


def test_a_kind_from_elsewhere_is_drawn_too(study: StudyData) -> None:
    events = [{**event, "kind": "swapped"} for event in study.events]
    assert draw_timeline(timeline_data(replace(study, events=events), "experts")).axes


def test_lives_begin_where_experts_are_born(study: StudyData) -> None:
    drawn = draw_timeline(timeline_data(study, "experts"))
    lives = [line for line in drawn.axes[0].lines if line.get_marker() == "None"]
    assert [line.get_xdata()[0] for line in lives] == [0, 3]
    assert [label.get_text() for label in drawn.axes[0].get_yticklabels()] == ["a", "b"]
