"""Each check of figures catches one that is broken in that way."""

from __future__ import annotations

import itertools

import matplotlib as mpl
import pytest
from matplotlib import pyplot as plt

from cl_moe.analysis.plots import AbsentError
from cl_moe.analysis.plots.base import FigureSpec
from cl_moe.analysis.plots.style import figure

counter = itertools.count(1)


def draw(heights):
    drawn = figure(2, 2)
    drawn.subplots().plot(heights)
    return drawn


def heights(data):
    return list(data.rows["value"][:5])


def spec(data=heights, draw=draw, caption="accuracies"):
    return FigureSpec(caption, data, draw)


def empty(heights):
    return figure(2, 2)


def drifts(heights):
    return draw([next(counter) ** 2, 1, 2])


def mutates(data):
    data.rows["value"] += 1
    return heights(data)


def in_pyplot(heights):
    return plt.figure()


def settings(heights):
    mpl.rcParams["lines.linewidth"] += 1
    return draw(heights)


def two_tasks(data):
    data.stream_tasks[1]
    return heights(data)


def wordless(data):
    if not data.events:
        raise AbsentError
    return heights(data)


def few(data):
    assert len(data.stream_tasks) < 20, "too many tasks"
    return heights(data)


BROKEN = {
    "says what it shows": (spec(caption="It shows accuracies."), "remove the full stop"),
    "draws a figure": (spec(draw=empty), "the figure has no axes"),
    "draws a figure / none": (spec(draw=lambda heights: None), "draw gives NoneType"),
    "same seed same result": (spec(draw=drifts), "the same study gives another image"),
    "inputs untouched": (spec(data=mutates), "the study's rows are changed"),
    "nothing global changes": (spec(draw=in_pyplot), "it leaves a figure open in pyplot"),
    "nothing global changes / settings": (spec(draw=settings), "lines.linewidth"),
    "one task": (spec(data=two_tasks), "list index out of range"),
    "little data": (spec(data=wordless), "the AbsentError has no message"),
    "many tasks": (spec(data=few), "too many tasks"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_check_catches(name, catches):
    with mpl.rc_context():
        catches("figure", BROKEN, name)
    plt.close("all")


def test_what_they_are_broken_from_is_whole():
    from cl_moe.testing import check_part

    assert {result.outcome for result in check_part("figure", spec())} == {"passed"}
