"""Checks of figures, on a synthetic study."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import pandas as pd
from matplotlib import pyplot as plt
from matplotlib.figure import Figure

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.plots.base import FigureSpec
from cl_moe.analysis.plots.every import rendered
from cl_moe.analysis.plots.style import AbsentError
from cl_moe.testing.base import Check, NotApplicable, Subject, require
from cl_moe.testing.study import made_up

__all__ = ("CHECKS",)


def drawn(subject: Subject, data: StudyData) -> Figure:
    """Return the figure of a study (for its first method, if there is one per method).

    Raises:
        NotApplicable: the study lacks its data.
    """
    spec: FigureSpec = subject.part
    arguments: list[Any] = [data]
    if spec.methods is not None:
        methods = spec.methods(data)
        if not methods:
            raise NotApplicable("the synthetic study has no method for it")
        arguments.append(methods[0])
    try:
        found = spec.draw(spec.data(*arguments))
    except AbsentError as absent:
        require(str(absent), "the AbsentError has no message; name the missing data")
        raise NotApplicable(f"the synthetic study lacks its data: {absent}") from absent
    right = isinstance(found, Figure)
    require(right, f"draw gives {type(found).__name__}; give a matplotlib Figure")
    return found


def says_what_it_shows(subject: Subject) -> None:
    """It has a caption without a full stop, and functions for its data and its drawing."""
    spec: FigureSpec = subject.part
    require(spec.caption, "caption: is empty; describe the figure")
    require(not spec.caption.endswith("."), "caption: remove the full stop at its end")
    for name in ("data", "draw"):
        require(callable(getattr(spec, name)), f"{name} is not a function")


def draws_a_figure(subject: Subject) -> None:
    """It draws a study of three methods and tasks, and can be written as a file."""
    figure = drawn(subject, made_up())
    require(len(figure.axes) > 0, "the figure has no axes")
    for form in ("png", "svg"):
        require(rendered(figure, form), f"nothing is written as {form}")


def same_seed_same_result(subject: Subject) -> None:
    """The same study gives the same image, pixel by pixel."""
    one, two = (rendered(drawn(subject, made_up()), "png", dpi=40) for _ in range(2))
    require(one == two, "the same study gives another image the second time")


def inputs_untouched(subject: Subject) -> None:
    """The study's frames are unchanged."""
    data, before = made_up(), made_up()
    drawn(subject, data)
    for name in ("rows", "tasks", "methods", "timings", "pairs"):
        frame: pd.DataFrame = getattr(data, name)
        same = frame.equals(getattr(before, name))
        require(same, f"the study's {name} are changed; modify a copy")
    require(data.events == before.events, "the study's events are changed; modify a copy")


def nothing_global_changes(subject: Subject) -> None:
    """Neither pyplot's figures nor matplotlib's settings change."""
    settings, open_figures = dict(mpl.rcParams), plt.get_fignums()
    drawn(subject, made_up())
    same = plt.get_fignums() == open_figures
    require(same, "it leaves a figure open in pyplot; make it with "
            "cl_moe.analysis.plots.style.figure")  # fmt: skip
    changed = [key for key, value in mpl.rcParams.items() if settings.get(key) != value]
    require(not changed, f"matplotlib's settings change: {', '.join(changed[:3])}")


def one_task(subject: Subject) -> None:
    """A study of one task, method and seed is drawn, or an AbsentError names what is missing."""
    drawn(subject, made_up(tasks=1, methods=("moe",), seeds=1))


def little_data(subject: Subject) -> None:
    """A study of accuracies alone is drawn, or an AbsentError names what is missing."""
    drawn(subject, made_up(bare=True))


def many_tasks(subject: Subject) -> None:
    """A study of thirty tasks is drawn, or an AbsentError says why not."""
    rendered(drawn(subject, made_up(tasks=30)), "png", dpi=40)


CHECKS: tuple[Check, ...] = (
    *(says_what_it_shows, draws_a_figure, same_seed_same_result, inputs_untouched),
    *(nothing_global_changes, one_task, little_data, many_tasks),
)
