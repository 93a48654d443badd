"""Average and worst-case accuracy side by side."""

from __future__ import annotations

import math
from typing import NamedTuple

from matplotlib.figure import Figure

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.plots.base import FigureSpec
from cl_moe.analysis.plots.style import COLUMN, AbsentError, Style, context, figure, percent, styles
from cl_moe.analysis.stats import Interval, interval
from cl_moe_parts_example.metric import worst_case_accuracy

__all__ = ("worst_case",)


class WorstCase(NamedTuple):
    """For each method its worst-case and its average accuracy at the end, and its style."""

    pairs: dict[str, tuple[Interval, Interval]]
    styles: dict[str, Style]


def worst_case_data(data: StudyData) -> WorstCase:
    """Return both accuracies of every method.

    Raises:
        AbsentError: no method has an accuracy of every task after every one.
    """
    found: dict[str, list[tuple[float, float]]] = {}
    for (method, _), a_TT in data.accuracies().items():
        both = worst_case_accuracy.of(a_TT), float(a_TT[-1].mean())
        if not any(map(math.isnan, both)):
            found.setdefault(method, []).append(both)
    if not found or len(data.stream_tasks) < 2:
        raise AbsentError(f"needs two tasks or more, and {worst_case_accuracy.needs}")
    pairs = {m: (interval(w for w, _ in v), interval(a for _, a in v)) for m, v in found.items()}
    return WorstCase(pairs, styles(data))


def draw_worst_case(info: WorstCase) -> Figure:
    """Draw a line a method, from its worst-case accuracy (open) to its average (filled)."""
    with context():
        drawn = figure(COLUMN, 0.6 + 0.22 * len(info.pairs))
        ax = drawn.subplots()
        for place, (method, (worst, average)) in enumerate(info.pairs.items()):
            style = info.styles[method]
            ax.plot([worst.mean, average.mean], [place, place], color=style.colour, lw=0.8)
            for value, fill in ((worst, "white"), (average, style.colour)):
                ends = [[value.mean - value.low], [value.high - value.mean]]
                ax.errorbar(value.mean, place, xerr=ends, fmt=style.marker, color=style.colour,
                            mfc=fill, elinewidth=0.5)  # fmt: skip
        ax.set_yticks(range(len(info.pairs)), list(info.pairs))
        ax.margins(y=0.3)
        ax.invert_yaxis()
        ax.set_xlabel("worst-case (open) and average accuracy (%)")
        percent(ax.xaxis)
    return drawn


worst_case = FigureSpec(
    "worst-case accuracy (open) and average accuracy at the end, with 95 % intervals",
    worst_case_data,
    draw_worst_case,
)
