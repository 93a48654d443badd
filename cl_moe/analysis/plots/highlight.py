"""Which methods a figure shows in colour where it has too many to tell apart."""

from __future__ import annotations

import math

from matplotlib.lines import Line2D

from cl_moe.analysis.best import joint_methods
from cl_moe.analysis.data import StudyData
from cl_moe.analysis.divergence import diverged_methods
from cl_moe.analysis.metrics import compute
from cl_moe.analysis.plots.style import OTHER, Style, styles
from cl_moe.analysis.shortfalls import method_of_interest
from cl_moe.analysis.stats import intervals, summarize

__all__ = ("MOST", "highlighted", "looks_highlighted", "others_line")

MOST = 5
"""Methods in colour."""
NAMED = 3
"""Grey methods that the legend names, at most."""


def highlighted(data: StudyData) -> list[str]:
    """Return the five methods that stand out, in the study's order; all where there are no more.

    They are: the method that the study is about; the dense network; EWC; a network a task
    (``single_task``), or joint training where there is none; and of the others the best, by average
    accuracy. Where one of them is missing, the next best takes its place. A method that diverged or
    that sees all tasks at once is not among the best.
    """
    means = _average_accuracies(data)
    out = {*joint_methods(data), *diverged_methods(data)}
    reference = data.of_type("single_task") or data.of_type("joint")
    named = [method_of_interest(data), data.of_type("dense"), data.of_type("ewc"), reference]
    best = sorted((m for m in means if m not in out), key=lambda m: -means[m])
    order = dict.fromkeys([m for m in named if m is not None] + best + data.method_names)
    chosen = list(order)[:MOST]
    return [method for method in data.method_names if method in chosen]


def _average_accuracies(data: StudyData) -> dict[str, float]:
    values = compute(data)
    found = intervals(summarize(values[values["metric"] == "average_accuracy"]))
    return {
        m: v.mean for (m, _, group), v in found.items() if group is None and math.isfinite(v.mean)
    }


def looks_highlighted(data: StudyData) -> dict[str, Style]:
    """Return the look of every method: its own where it stands out, else the grey of the others."""
    chosen = highlighted(data)
    return {method: style if method in chosen else OTHER for method, style in styles(data).items()}


def others_line(shown: dict[str, Style]) -> list[Line2D]:
    """Return the legend's entry of the grey methods: up to three by name, more by number."""
    grey = [method for method, style in shown.items() if style is OTHER]
    if not grey:
        return []
    label = ", ".join(grey) if len(grey) <= NAMED else f"{len(grey)} others"
    return [Line2D([], [], label=label, **OTHER.line(linewidth=0.7))]
