"""Accuracy against costs, and against the number of examples of an unseen task."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.metrics.compute import compute
from cl_moe.analysis.metrics.learning import probe_families
from cl_moe.analysis.metrics.names import METRICS, heading
from cl_moe.analysis.plots.curves import Curve, draw_line, fit_accuracy, mean_band
from cl_moe.analysis.plots.style import (
    PAGE,
    AbsentError,
    Style,
    context,
    evenly,
    figure,
    grid,
    legend,
    percent,
    short,
    styles,
)
from cl_moe.analysis.scores import score_rows
from cl_moe.analysis.stats import Interval, intervals, summarize
from cl_moe.analysis.tables import quantity

__all__ = (
    "Cost",
    "Samples",
    "cost_data",
    "draw_cost",
    "draw_samples",
    "samples_data",
)

# The metrics on the x axes of the panels.
SIZE = ("parameters", "active_parameters")
COMPUTE = ("flops_predict", "train_seconds")
MOST_FAMILIES = 12
TARGET: dict[str, Any] = {"color": "#555555", "linewidth": 0.6, "zorder": 1}


class Cost(NamedTuple):
    """Points of a panel: accuracy and a cost with their intervals, by cost metric and method."""

    panels: dict[str, dict[str, tuple[Interval, Interval]]]
    styles: dict[str, Style]
    score: str = "accuracy"


class Samples(NamedTuple):
    """Accuracy against n by unseen task and method, and 95 % of single_task's with all data."""

    curves: dict[str, dict[str, Curve]]
    targets: dict[str, float]
    styles: dict[str, Style]
    note: str
    score: str = "accuracy"


def cost_data(data: StudyData) -> Cost:
    """Return average accuracy against parameters and against compute.

    Compute is FLOPs per sample of a prediction and, if timings are known, seconds of training.

    Raises:
        AbsentError: no run has both a cost and an average accuracy.
    """
    values = compute(data)
    found = intervals(summarize(values[values["group"].isna()]))
    accuracy = {m: v for (m, name, _), v in found.items() if name == "average_accuracy" and v.seeds}
    panels = {}
    for metric in (*SIZE[:1], *COMPUTE):
        points = {m: (found[m, metric, None], accuracy[m]) for m in accuracy
                  if (m, metric, None) in found and found[m, metric, None].mean > 0}  # fmt: skip
        if points:
            panels[metric] = points
    if not panels:
        raise AbsentError("needs average accuracies and rows of parameters or FLOPs, or timings")
    return Cost(panels, {m: styles(data)[m] for m in accuracy}, data.score)


def draw_cost(info: Cost) -> Figure:
    """Draw one panel per cost, one marker per method, with intervals in both directions."""
    with context():
        drawn, panels = grid(len(info.panels), most=3, height=2.3, sharey=True)
        for ax, (metric, points) in zip(panels, info.panels.items(), strict=True):
            for method, (cost, accuracy) in points.items():
                style = info.styles[method]
                ax.errorbar(
                    cost.mean, accuracy.mean, xerr=_arms(cost), yerr=_arms_of_score(accuracy),
                    fmt=style.marker, color=style.colour, markersize=5.5, elinewidth=0.8,
                )  # fmt: skip
            _cost_axis(ax, [cost for cost, _ in points.values()], METRICS[metric].unit)
            ax.set_xlabel(heading(metric))
        percent(panels[0].yaxis)
        low, high = panels[0].get_ylim()
        below = any(
            score.mean < 0 for points in info.panels.values() for _, score in points.values()
        )
        panels[0].set_ylim(low if below else max(0.0, low), min(1.02, high))
        panels[0].set_ylabel(f"average {info.score} (%)")
        legend(drawn, info.styles)
        sns.despine(fig=drawn)
    return drawn


def _arms(found: Interval) -> list[list[float]] | None:
    """Return the lengths of a cost's interval's arms, on a logarithmic axis."""
    return _between(found, _positive(found), found.high)


def _arms_of_score(found: Interval) -> list[list[float]] | None:
    """Return the lengths of the arms of an accuracy's interval, clipped to 0 (unless R2) and 1."""
    return _between(found, found.low if found.mean < 0 else _positive(found), min(1.0, found.high))


def _between(found: Interval, low: float, high: float) -> list[list[float]] | None:
    if math.isnan(found.low) or found.low == found.high:
        return None
    # Rounding may place the mean slightly outside its interval; lengths are not negative.
    return [[max(0.0, found.mean - low)], [max(0.0, high - found.mean)]]


def _positive(found: Interval) -> float:
    """Return an interval's low end; a tenth of the mean if it is not positive."""
    return found.low if found.low > 0 else found.mean / 10


def _cost_axis(ax: Axes, costs: list[Interval], unit: str) -> None:
    """Set a logarithmic x axis over all intervals, at least a decade; labels with k, M, G."""
    low = min(c.mean if math.isnan(c.low) else _positive(c) for c in costs) / 1.25
    high = max(c.mean if math.isnan(c.high) else c.high for c in costs) * 1.25
    wider = math.sqrt(max(1.0, 10 / (high / low)))
    low, high = low / wider, high * wider
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    steps = (1, 2, 5) if high / low < 50 else (1,)
    ax.set_xscale("log")
    ax.set_xlim(low, high)
    ax.set_xticks([m * 10.0**d for d in decades for m in steps if low <= m * 10.0**d <= high])
    ax.xaxis.set_major_formatter(FuncFormatter(lambda value, _: quantity(value, unit)))
    ax.minorticks_off()


def samples_data(data: StudyData, most: int = MOST_FAMILIES) -> Samples:
    """Return the accuracy on every unseen task against the number of its training examples.

    Raises:
        AbsentError: no unseen task (probe) has accuracies at two sizes or more.
    """
    families = probe_families(data)
    at_end = data.rows["epoch"].isna() & (data.rows["after_task"] == len(data.stream_tasks))
    table = score_rows(data.rows[at_end]).pivot_table(
        index=["method", "seed"], columns="task", values="value", observed=True
    )
    kept = [list(families)[i] for i in evenly(len(families), most)] if families else []
    curves: dict[str, dict[str, Curve]] = {}
    targets = {}
    single_task = data.of_type("single_task")
    known = set(table.index.get_level_values("method"))
    for family in kept:
        wide = table.reindex(columns=list(families[family].values()))
        sizes = np.array(list(families[family]), dtype=float)
        lines = {
            method: mean_band(sizes, wide.loc[[method]].to_numpy(dtype=float))
            for method in data.method_names
            if method in known
        }
        curves[family] = {method: line for method, line in lines.items() if len(line.x)}
        if single_task in curves[family] and curves[family][single_task].x[-1] == sizes[-1]:
            targets[family] = 0.95 * float(curves[family][single_task].mean[-1])
    curves = {family: lines for family, lines in curves.items() if lines}
    if not curves:
        raise AbsentError("needs an unseen task (probe) at two sizes or more")
    note = f"{len(curves)} of {len(families)} shown" if len(curves) < len(families) else ""
    used = {m: style for m, style in styles(data).items() if any(m in c for c in curves.values())}
    return Samples(curves, targets, used, note, data.score)


def draw_samples(info: Samples) -> Figure:
    """Draw one panel per unseen task, one line per method; a thin line marks the target."""
    with context():
        if len(info.curves) == 1:
            drawn = figure(PAGE / 2, 2.5)
            panels = [drawn.subplots()]
        else:
            drawn, panels = grid(len(info.curves), most=4, height=1.7, sharey=True)
        names = short(list(info.curves), 22)
        for ax, name, (family, lines) in zip(panels, names, info.curves.items(), strict=True):
            for method, curve in lines.items():
                draw_line(ax, curve, info.styles[method], among=len(info.styles))
            _size_axis(ax, sorted({float(x) for curve in lines.values() for x in curve.x}))
            if family in info.targets:
                ax.axhline(info.targets[family], **TARGET)
            ax.set_title(name)
        fit_accuracy(panels[0], list(info.curves.values()))
        percent(panels[0].yaxis)
        note = f" ({info.note})" if info.note else ""
        drawn.supxlabel(f"training examples of the unseen task{note}", fontsize=8)
        drawn.supylabel(f"test {info.score} (%)", fontsize=8)
        target = Line2D([], [], label="95 % of single_task with all examples", **TARGET)
        legend(drawn, info.styles, [target] if info.targets else [])
        sns.despine(fig=drawn)
    return drawn


def _size_axis(ax: Axes, sizes: list[float]) -> None:
    ax.set_xscale("log", base=2)
    shown = [sizes[i] for i in evenly(len(sizes), 7)]
    ax.set_xticks(shown, [f"{size:.0f}" for size in shown])
    ax.minorticks_off()
