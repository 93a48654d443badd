"""Accuracy along the sequence: per task (forgetting curves) and on average."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cl_moe.analysis.data import Array, StudyData
from cl_moe.analysis.plots.highlight import others_line, styles_highlighted
from cl_moe.analysis.plots.style import (
    COLUMN,
    OTHER,
    AbsentError,
    Style,
    context,
    evenly,
    figure,
    grid,
    legend,
    percent,
    short,
    task_axis,
)
from cl_moe.analysis.stats import t_band

__all__ = (
    "Average",
    "Curve",
    "Forgetting",
    "average_data",
    "draw_average",
    "draw_forgetting",
    "draw_line",
    "fit_accuracy",
    "forgetting_data",
    "mean_band",
    "runs_by_method",
)

MOST_TASKS = 20


class Curve(NamedTuple):
    """A line with its 95 % t interval over seeds, each of shape [points], and the seeds' own.

    ``runs`` has shape [seeds, points].
    """

    x: Array
    mean: Array
    low: Array
    high: Array
    runs: Array

    @property
    def few(self) -> bool:
        """Whether there are only two seeds, whose t interval would be too wide to draw."""
        return len(self.runs) == 2

    @property
    def ends(self) -> tuple[Array, Array]:
        """The ends of the band: the interval, or the values of two seeds.

        Clipped to 0 and 1; below 0 (R2), to the lowest value of a seed.
        """
        low, high = (self.runs[0], self.runs[1]) if self.few else (self.low, self.high)
        least = min(0.0, float(np.nanmin(self.runs)))
        return np.clip(np.fmin(low, high), least, 1), np.clip(np.fmax(low, high), least, 1)


class Forgetting(NamedTuple):
    """Forgetting curves: ``curves[task][method]`` for the tasks shown."""

    curves: dict[str, dict[str, Curve]]
    styles: dict[str, Style]
    length: int
    score: str = "accuracy"

    @property
    def note(self) -> str:
        """A note on omitted tasks; empty if all are shown."""
        left = self.length - len(self.curves)
        return f"{len(self.curves)} of {self.length} tasks shown, evenly chosen" if left else ""


class Average(NamedTuple):
    """Mean accuracy over the tasks learned so far, by method."""

    curves: dict[str, Curve]
    styles: dict[str, Style]
    length: int
    score: str = "accuracy"


def runs_by_method(data: StudyData) -> dict[str, Array]:
    """Return every method's accuracy matrices, shape [seeds, T, T], in the study's order.

    Runs without a finite score are left out.
    """
    found: dict[str, list[Array]] = {method: [] for method in data.method_names}
    for (method, _), a_TT in data.accuracies().items():
        if np.isfinite(a_TT).any():  # else the run diverged
            found[method].append(a_TT)
    return {method: np.stack(runs) for method, runs in found.items() if runs}


def mean_band(x: Array, values_SX: Array) -> Curve:
    """Return the mean over seeds and its 95 % t interval, at the defined points.

    >>> curve = mean_band(np.array([1.0, 2.0]), np.array([[0.5, np.nan], [0.7, np.nan]]))
    >>> curve.x, curve.mean.round(2)
    (array([1.]), array([0.6]))
    """
    known = ~np.isnan(values_SX).all(axis=0)
    shown = values_SX[:, known]
    return Curve(x[known], np.nanmean(shown, axis=0), *t_band(shown), shown)


def forgetting_data(data: StudyData, most: int = MOST_TASKS) -> Forgetting:
    """Return each task's accuracy from when it was learned to the end of the stream.

    Args:
        data: the study.
        most: tasks shown at most, evenly chosen from the stream.

    Raises:
        AbsentError: the stream has one task, or no run has an accuracy.
    """
    tasks, runs = data.stream_tasks, runs_by_method(data)
    if len(tasks) < 2 or not runs:
        raise AbsentError("needs accuracies on a stream of two tasks or more")
    steps = np.arange(1, len(tasks) + 1, dtype=float)
    curves = {
        tasks[j]: {method: mean_band(steps[j:], a_STT[:, j:, j]) for method, a_STT in runs.items()}
        for j in evenly(len(tasks), most)
    }
    return Forgetting(curves, _looks(data, runs), len(tasks), data.score)


def _looks(data: StudyData, methods: Iterable[str]) -> dict[str, Style]:
    found = styles_highlighted(data)
    return {method: found[method] for method in methods}


def draw_line(ax: Axes, curve: Curve, style: Style, *, among: int, **more: Any) -> None:
    """Draw a curve with its band (a bar for one point) and a marker at ten points or fewer.

    With two seeds, thin lines replace the band. A method of style ``OTHER`` is a thin line behind
    the others, without a band.

    Args:
        ax: the axes.
        curve: the curve.
        style: the method's style.
        among: number of lines; bands are more transparent the more there are.
        more: keywords for ``Axes.plot``.
    """
    if len(curve.x) == 0:
        return
    if style is OTHER:
        behind = {"linewidth": 0.7, "zorder": 1, "marker": "." if len(curve.x) == 1 else ""}
        ax.plot(curve.x, curve.mean, **style.line(clip_on=False) | more | behind)
        return
    every = max(1, round(len(curve.x) / 10))
    ax.plot(curve.x, curve.mean, **style.line(markevery=every, clip_on=False, zorder=3) | more)
    low, high = curve.ends
    if len(curve.x) == 1:
        ax.vlines(curve.x, low, high, color=style.colour, linewidth=0.8, alpha=0.6)
    elif curve.few:
        for run in curve.runs:
            ax.plot(curve.x, run, color=style.colour, linewidth=0.4, alpha=0.6, zorder=2)
    else:
        opacity = 0.22 if among <= 5 else 0.6 / among
        ax.fill_between(curve.x, low, high, color=style.colour, alpha=opacity, linewidth=0)


def _coloured(shown: dict[str, Style]) -> dict[str, Style]:
    return {method: style for method, style in shown.items() if style is not OTHER}


def draw_forgetting(info: Forgetting) -> Figure:
    """Draw one panel per task, one line per method."""
    with context():
        drawn, panels = grid(len(info.curves), most=5, height=1.35, sharex=True, sharey=True)
        names = short(list(info.curves), 20)
        among = len(_coloured(info.styles))
        for ax, name, lines in zip(panels, names, info.curves.values(), strict=True):
            for method, curve in lines.items():
                style = info.styles[method]
                draw_line(ax, curve, style, among=among, markersize=2.6, linewidth=1)
            ax.set_title(name)
            task_axis(ax, info.length)
        percent(panels[0].yaxis)
        fit_accuracy(panels[0], list(info.curves.values()))
        drawn.supxlabel("tasks learned" + (f" ({info.note})" if info.note else ""), fontsize=8)
        drawn.supylabel(f"test {info.score} (%)", fontsize=8)
        legend(drawn, _coloured(info.styles), others_line(info.styles))
        sns.despine(fig=drawn)
    return drawn


def fit_accuracy(ax: Axes, lines: list[dict[str, Curve]]) -> None:
    """Set the y limits to show all lines, and bands unless they are much wider than the lines.

    With three seeds, bands can span the whole axis. The limit above 100 % leaves room for markers.
    """
    shown = [curve for curves in lines for curve in curves.values() if len(curve.x)]
    means = np.concatenate([curve.mean for curve in shown])
    ends = np.concatenate([end for curve in shown for end in (curve.mean, *curve.ends)])
    low, high = float(means.min()), float(means.max())
    room = 0.05 + 0.5 * (high - low)
    least = 0.0 if low >= 0 else low - room
    low = max(least, low - room, float(np.nanmin(ends)) - 0.02)
    high = min(1.02, high + room, float(np.nanmax(ends)) + 0.02)
    ax.set_ylim(low, high)


def average_data(data: StudyData) -> Average:
    """Return mean_{j<=k} a[k][j] after every task k, by method.

    Raises:
        AbsentError: no run has an accuracy after every task it learned.
    """
    tasks, runs = data.stream_tasks, runs_by_method(data)
    steps = np.arange(1, len(tasks) + 1, dtype=float)
    curves = {}
    for method, a_STT in runs.items():
        seen_SK = np.stack([a_STT[:, k, : k + 1].mean(axis=1) for k in range(len(tasks))], axis=1)
        curves[method] = mean_band(steps, seen_SK)
    curves = {method: curve for method, curve in curves.items() if len(curve.x)}
    if len(tasks) < 2 or not curves:
        raise AbsentError(
            "needs the accuracy on all tasks so far, on a stream of two tasks or more"
        )
    return Average(curves, _looks(data, curves), len(tasks), data.score)


def draw_average(info: Average) -> Figure:
    """Draw one line per method against the number of tasks learned."""
    with context():
        drawn = figure(COLUMN, 2.5)
        ax = drawn.subplots()
        for method, curve in info.curves.items():
            draw_line(ax, curve, info.styles[method], among=len(_coloured(info.styles)))
        task_axis(ax, info.length)
        percent(ax.yaxis)
        fit_accuracy(ax, [info.curves])
        ax.set(xlabel="tasks learned", ylabel=f"mean {info.score} of the\ntasks learned so far (%)")
        legend(drawn, _coloured(info.styles), others_line(info.styles))
        sns.despine(fig=drawn)
    return drawn
