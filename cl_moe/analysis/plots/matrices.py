"""Heat maps: accuracy after each task, and what one task gives to another."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from cl_moe.analysis.data import Array, StudyData
from cl_moe.analysis.metrics.transfer import pair_gains
from cl_moe.analysis.plots.curves import runs_by_method
from cl_moe.analysis.plots.style import (
    COLUMN,
    PAGE,
    AbsentError,
    context,
    evenly,
    figure,
    grid,
    percent,
    short,
)

__all__ = (
    "Gains",
    "Matrices",
    "accuracy_matrix_data",
    "candidate_gains_data",
    "draw_accuracy_matrix",
    "draw_gains",
    "draw_transfer",
    "transfer_data",
)

EMPTY = "#EEEEEE"  # a cell without a value


class Matrices(NamedTuple):
    """A matrix of shape [T, T] a method, means over seeds, and the names of the T tasks."""

    matrices: dict[str, Array]
    tasks: list[str]


class Gains(NamedTuple):
    """Gains in accuracy (0..1) of a task (column) from another (row); how they were measured."""

    gains: pd.DataFrame
    row_label: str
    column_label: str
    bar_label: str


def accuracy_matrix_data(data: StudyData) -> Matrices:
    """Return each method's mean accuracy on every task after every task.

    A cell is empty unless every seed has it.

    Raises:
        AbsentError: the stream has one task, or no run has an accuracy.
    """
    runs = runs_by_method(data)
    if not runs or len(data.stream_tasks) < 2:
        raise AbsentError("needs accuracies on a stream of two tasks or more")
    return Matrices({m: a_STT.mean(axis=0) for m, a_STT in runs.items()}, data.stream_tasks)


def draw_accuracy_matrix(info: Matrices) -> Figure:
    """Draw one heat map a method: rows are the tasks learned so far, columns the task tested."""
    known = np.concatenate([m[~np.isnan(m)] for m in info.matrices.values()])
    low, high = float(known.min()), float(known.max())
    with context():
        drawn = _panels(info, (low, max(high, low + 0.01)), "viridis", "test accuracy (%)")
        drawn.supylabel("after learning task", fontsize=8)
        drawn.supxlabel("tested on task", fontsize=8)
    return drawn


def transfer_data(data: StudyData) -> Matrices:
    """Return each method's transfer matrix; see :func:`cl_moe.analysis.metrics.pair_gains`.

    Raises:
        AbsentError: no pair of tasks was measured, or there is no method of type alone.
    """
    gains = pair_gains(data).dropna()
    if gains.empty:
        raise AbsentError("needs pairs of tasks (cl-moe transfer measures them) and alone")
    tasks = data.stream_tasks
    means = gains.groupby(["method", "after", "task"], sort=False)["value"].mean().unstack("task")
    matrices = {
        str(method): means.loc[method].reindex(index=tasks, columns=tasks).to_numpy(dtype=float)
        for method in gains["method"].unique()
    }
    return Matrices(matrices, tasks)


def draw_transfer(info: Matrices) -> Figure:
    """Draw one heat map a method, around 0: blue helps, red harms."""
    known = np.concatenate([m[~np.isnan(m)] for m in info.matrices.values()])
    limit = max(0.01, float(np.abs(known).max()))
    with context():
        drawn = _panels(info, (-limit, limit), "RdBu", "gain over alone (points)", sign=True)
        drawn.supylabel("learned first", fontsize=8)
        drawn.supxlabel("learned after it", fontsize=8)
    return drawn


def _panels(
    info: Matrices, limits: tuple[float, float], colours: str, bar_label: str, *, sign: bool = False
) -> Figure:
    """Return a heat map a method in colours from ``limits[0]`` to ``limits[1]``, and their bar."""
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
    """Name the tasks where there is room, else number some of them, from 1."""
    if len(tasks) <= 12:
        at, labels = list(range(len(tasks))), short(tasks, 14)
        ax.set_yticks(
            [i + 0.5 for i in at], [f"{n + 1} {s}" for n, s in enumerate(labels)], rotation=0
        )
    else:
        at = evenly(len(tasks), 6)
        ax.set_yticks([i + 0.5 for i in at], [str(i + 1) for i in at], rotation=0)
    ax.set_xticks([i + 0.5 for i in at], [str(i + 1) for i in at], rotation=0)
    ax.tick_params(length=0)


def _bar(bar: object, label: str, *, sign: bool = False) -> None:
    percent(bar.ax.yaxis, sign=sign)  # type: ignore[attr-defined]
    bar.set_label(label)  # type: ignore[attr-defined]
    bar.outline.set_visible(False)  # type: ignore[attr-defined]


def candidate_gains_data(data: StudyData, method: str, most: int = 30) -> Gains:
    """Return what a growth policy measured: the gain from starting at an earlier task's path.

    The best held-out accuracy of the candidates that start from a source task, minus that of the
    fresh candidate; a mean over seeds. This is the evidence of the decisions, on training data
    held out, for the few candidates that were tried: not the transfer matrix.

    Raises:
        AbsentError: no decision compares candidates from a source with a fresh one.
    """
    found: dict[tuple[str, str], list[float]] = {}
    for event in (e for e in data.events if e["method"] == method):
        for source, gain in _gains_over_fresh(event).items():
            found.setdefault((source, str(event["name"])), []).append(gain)
    if not found:
        raise AbsentError(
            "needs decisions that compare candidates of earlier tasks with a fresh one"
        )
    order = {str(name): place for place, name in enumerate(data.tasks["task"])}
    every = sorted({j for _, j in found}, key=lambda name: order.get(name, len(order)))
    columns = [every[i] for i in evenly(len(every), most)]
    # Sources of the tasks shown; where there are too many, those that were tried most often.
    tried = Counter(i for i, j in found if j in columns)
    rows = sorted((i for i, _ in tried.most_common(most)), key=lambda n: order.get(n, len(order)))
    gains = [[np.mean(found.get((i, j), [np.nan])) for j in columns] for i in rows]
    frame = pd.DataFrame(gains, index=rows, columns=columns, dtype=float)
    note = f" ({len(columns)} of {len(every)} shown)" if len(columns) < len(every) else ""
    return Gains(frame, "candidate from", f"new task{note}", "gain over fresh (points)")


def _gains_over_fresh(event: dict[str, Any]) -> dict[str, float]:
    """Return by source task the best held-out accuracy from it, minus the fresh candidate's."""
    scored = [c for c in event.get("candidates") or [] if c.get("accuracy") is not None]
    fresh = [float(c["accuracy"]) for c in scored if c["kind"] == "fresh"]
    best: dict[str, float] = {}
    for candidate in scored:
        if candidate.get("source") is not None:
            source = str(candidate["source"])
            best[source] = max(best.get(source, 0.0), float(candidate["accuracy"]))
    return {source: value - max(fresh) for source, value in best.items()} if fresh else {}


def draw_gains(info: Gains) -> Figure:
    """Draw gains as a heat map around 0: blue helps, red harms."""
    rows, columns = info.gains.shape
    values = info.gains.to_numpy()
    limit = max(0.01, float(np.nanmax(np.abs(values))))
    with context():
        width = min(PAGE, max(COLUMN, 1.8 + 0.36 * columns))
        drawn = figure(width, min(7.0, max(2.5, 1.3 + 0.24 * rows)))
        ax = drawn.subplots()
        sns.heatmap(
            values, ax=ax, vmin=-limit, vmax=limit, cmap="RdBu", cbar=False, fmt="",
            annot=_numbers(values, sign=True) if columns <= 15 else False,
            annot_kws={"size": 6.5}, linewidths=0.5 if columns <= 30 else 0,
        )  # fmt: skip
        ax.set_facecolor(EMPTY)
        bar = drawn.colorbar(ax.collections[0], ax=ax, fraction=0.05, aspect=25)
        _bar(bar, info.bar_label, sign=True)
        names = short([str(n) for n in info.gains.columns])
        ax.set_xticks(
            [i + 0.5 for i in range(columns)], names,
            rotation=40 if columns <= 15 else 90, ha="right",
            va="top" if columns <= 15 else "center", rotation_mode="anchor",
        )  # fmt: skip
        ax.set_yticks(
            [i + 0.5 for i in range(rows)], short([str(n) for n in info.gains.index]), rotation=0
        )
        ax.tick_params(length=0)
        ax.set(xlabel=info.column_label, ylabel=info.row_label)
    return drawn
