"""The methods that a figure shows in colour if there are more than five."""

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

__all__ = ("MOST", "highlighted", "others_line", "styles_highlighted")

MOST = 5
"""Number of methods in colour."""
NAMED = 3
"""Most grey methods that the legend names."""


def highlighted(data: StudyData) -> list[str]:
    """Return the five highlighted methods, in the study's order; all if there are no more.

    They are: the method of interest; the dense network; EWC; ``single_task``, or else joint
    training; and the best of the others, by average accuracy. If one of them is missing, the next
    best takes its place. Methods that diverged or that are trained on all tasks at once are not
    among the best.
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


def styles_highlighted(data: StudyData) -> dict[str, Style]:
    """Return the style of every method: its own if highlighted, else the grey of ``OTHER``."""
    chosen = highlighted(data)
    return {method: style if method in chosen else OTHER for method, style in styles(data).items()}


def others_line(shown: dict[str, Style]) -> list[Line2D]:
    """Return the legend entry of the grey methods: up to three names, or their number."""
    grey = [method for method, style in shown.items() if style is OTHER]
    if not grey:
        return []
    label = ", ".join(grey) if len(grey) <= NAMED else f"{len(grey)} others"
    return [Line2D([], [], label=label, **OTHER.line(linewidth=0.7))]
