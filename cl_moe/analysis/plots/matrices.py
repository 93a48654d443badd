"""Heat maps: accuracy after each task, and the transfer matrix."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cl_moe.analysis.data import Array, StudyData
from cl_moe.analysis.metrics.transfer import pair_gains
from cl_moe.analysis.plots.curves import runs_by_method
from cl_moe.analysis.plots.style import (
    AbsentError,
    context,
    evenly,
    grid,
    percent,
    short,
)
from cl_moe.analysis.tables import numbered

__all__ = (
    "Matrices",
    "accuracy_matrix_data",
    "draw_accuracy_matrix",
    "draw_transfer",
    "transfer_data",
)

EMPTY = "#EEEEEE"  # a missing value


class Matrices(NamedTuple):
    """A matrix of shape [T, T] per method, means over seeds, and the names of the T tasks."""

    matrices: dict[str, Array]
    tasks: list[str]
    score: str = "accuracy"


def accuracy_matrix_data(data: StudyData) -> Matrices:
    """Return each method's mean accuracy on every task after every task.

    A cell is empty unless every seed has it.

    Raises:
        AbsentError: the stream has one task, or no run has an accuracy.
    """
    runs = runs_by_method(data)
    if not runs or len(data.stream_tasks) < 2:
        raise AbsentError("needs accuracies on a stream of two tasks or more")
    means = {m: a_STT.mean(axis=0) for m, a_STT in runs.items()}
    return Matrices(means, data.stream_tasks, data.score)


def draw_accuracy_matrix(info: Matrices) -> Figure:
    """Draw one heat map per method: rows are the last task learned, columns the task tested."""
    known = np.concatenate([m[~np.isnan(m)] for m in info.matrices.values()])
    low, high = float(known.min()), float(known.max())
    with context():
        drawn = _panels(info, (low, max(high, low + 0.01)), "viridis", f"test {info.score} (%)")
        drawn.supylabel("after learning task", fontsize=8)
        drawn.supxlabel("tested on task", fontsize=8)
    return drawn


def transfer_data(data: StudyData) -> Matrices:
    """Return each method's transfer matrix; see :func:`cl_moe.analysis.metrics.pair_gains`.

    Raises:
        AbsentError: no pair of tasks was measured, or there is no method of type single_task.
    """
    gains = pair_gains(data).dropna()
    if gains.empty:
        raise AbsentError("needs pairs of tasks (cl-moe transfer measures them) and single_task")
    tasks = data.stream_tasks
    means = gains.groupby(["method", "after", "task"], sort=False)["value"].mean().unstack("task")
    matrices = {
        str(method): means.loc[method].reindex(index=tasks, columns=tasks).to_numpy(dtype=float)
        for method in gains["method"].unique()
    }
    return Matrices(matrices, tasks)


def draw_transfer(info: Matrices) -> Figure:
    """Draw one heat map per method, centred at 0: blue is a gain, red a loss."""
    known = np.concatenate([m[~np.isnan(m)] for m in info.matrices.values()])
    limit = max(0.01, float(np.abs(known).max()))
    with context():
        drawn = _panels(info, (-limit, limit), "RdBu", "gain over single_task (points)", sign=True)
        drawn.supylabel("learned first", fontsize=8)
        drawn.supxlabel("learned after it", fontsize=8)
    return drawn


def _panels(
    info: Matrices, limits: tuple[float, float], colours: str, bar_label: str, *, sign: bool = False
) -> Figure:
    """Draw one heat map per method with colours from ``limits[0]`` to ``limits[1]``."""
    count, one = len(info.tasks), len(info.matrices) == 1
    side = 2.2 if one else 1.3  # inches; a matrix by itself has room for its numbers
    drawn, panels = grid(
        len(info.matrices), most=4, height=side + 0.25, panel=side, sharex=True, sharey=True
    )
    for ax, (method, value_TT) in zip(panels, info.matrices.items(), strict=True):
        sns.heatmap(
            value_TT, ax=ax, vmin=limits[0], vmax=limits[1], cmap=colours, cbar=False,
            square=True, rasterized=count > 30, fmt="",
            annot=_numbers(value_TT, sign=sign) if count <= 10 else False,
            annot_kws={"size": 6.5 if one or count <= 7 else 5.5},
        )  # fmt: skip
        ax.set_facecolor(EMPTY)
        ax.set_title(method)
        _task_ticks(ax, info.tasks)
    bar = drawn.colorbar(panels[0].collections[0], ax=panels, fraction=0.03, aspect=30)
    _bar(bar, bar_label, sign=sign)
    return drawn


def _numbers(share: Array, *, sign: bool = False) -> npt.NDArray[np.object_]:
    def text(value: float) -> str:
        points = round(100 * value) if not math.isnan(value) else None
        return "" if points is None else f"{points:+d}" if sign and points else str(points)

    return np.array([[text(value) for value in row] for row in share], dtype=object)


def _task_ticks(ax: Axes, tasks: list[str]) -> None:
    """Label the axes with task names if they fit, else with some task numbers from 0."""
    named = len(tasks) <= 12
    at = list(range(len(tasks))) if named else evenly(len(tasks), 6)
    labels = numbered(short(tasks, 14)) if named else [str(i) for i in at]
    ax.set_yticks([i + 0.5 for i in at], labels, rotation=0)
    ax.set_xticks([i + 0.5 for i in at], [str(i) for i in at], rotation=0)
    ax.tick_params(length=0)


def _bar(bar: object, label: str, *, sign: bool = False) -> None:
    percent(bar.ax.yaxis, sign=sign)  # type: ignore[attr-defined]
    bar.set_label(label)  # type: ignore[attr-defined]
    bar.outline.set_visible(False)  # type: ignore[attr-defined]
