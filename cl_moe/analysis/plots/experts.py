"""Which experts each task uses, and how the set of experts came about."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from cl_moe.analysis.data import Array, StudyData
from cl_moe.analysis.plots.style import PAGE, AbsentError, context, evenly, figure, percent, short
from cl_moe.escape import line

__all__ = (
    "Mark",
    "Timeline",
    "Usage",
    "draw_timeline",
    "draw_usage",
    "event_methods",
    "timeline_data",
    "usage_data",
)

MOST_EXPERTS = 40
RAW = "raw\ninput"  # the weight of the raw input in an ensemble
ROUNDING = 1e-4
GROWING = ("fresh", "copy", "branch")  # kinds of decision that make experts
# The use of an expert by a task: name in the legend, colour, marker, filled.
MARKS = {
    "fresh": ("grown", "#009E73", "o", True),
    "copy": ("grown as a copy", "#56B4E9", "^", True),
    "reuse": ("reused, frozen", "#0072B2", "s", False),
    "ensemble": ("in an ensemble", "#CC79A7", "D", False),
    "matched": ("matched, with its head", "#E69F00", "P", True),
    "return": ("returned to", "#000000", "v", False),
    "reassign": ("retrained", "#D55E00", "X", True),
    "fixed": ("used (no growth)", "#555555", "o", False),
}


class Usage(NamedTuple):
    """How much each task uses each expert: per layer, shares of shape [tasks, experts].

    The last column of a layer is the raw input, if an ensemble reads it.
    """

    shares: list[Array]
    experts: list[list[str]]
    tasks: list[str]
    method: str
    seed: int
    note: str


class Mark(NamedTuple):
    """At task ``x`` (from 0) the expert in row ``y`` was used in the way ``kind``."""

    x: int
    y: int
    kind: str


class Timeline(NamedTuple):
    """The uses of experts, one panel per layer, the oldest expert at the bottom."""

    marks: list[list[Mark]]
    experts: list[list[str]]
    tasks: list[str]
    method: str
    seed: int


def event_methods(data: StudyData) -> list[str]:
    """Return the methods that logged decisions, in the study's order."""
    logged = {str(event["method"]) for event in data.events}
    return [method for method in data.method_names if method in logged]


def _events(data: StudyData, method: str, seed: int | None) -> tuple[list[dict[str, Any]], int]:
    """Return the decisions of one run on stream tasks, in order, and the run's seed."""
    mine = [e for e in data.events if e["method"] == method]
    if not mine:
        raise AbsentError(f"needs decisions (events), and '{method}' logged none")
    seed = min(int(e["seed"]) for e in mine) if seed is None else seed
    count = len(data.stream_tasks)
    run = [e for e in mine if int(e["seed"]) == seed and int(e["task"]) < count]
    return sorted(run, key=lambda event: int(event["task"])), seed


def _experts_of(events: list[dict[str, Any]], key: str) -> list[list[str]]:
    """Return each layer's expert ids in order of first use."""
    layers = max((len(event.get(key) or []) for event in events), default=0)
    return [
        list(dict.fromkeys(line(str(i)) for e in events for i in _layer(e, key, layer)))
        for layer in range(layers)
    ]


def _layer(event: dict[str, Any], key: str, layer: int) -> Any:
    levels = event.get(key) or []
    return levels[layer] if layer < len(levels) else []


def usage_data(
    data: StudyData, method: str, seed: int | None = None, most: int = MOST_EXPERTS
) -> Usage:
    """Return the share of each task's weight that goes to each expert, and to the raw input.

    Args:
        data: the study.
        method: a method with events.
        seed: which run; by default the one of the lowest seed.
        most: most experts shown per layer, the most used ones.

    Raises:
        AbsentError: the run has no events with usage.
    """
    events, seed = _events(data, method, seed)
    events = [event for event in events if event.get("usage")]
    experts = _experts_of(events, "usage")
    if not any(experts):
        raise AbsentError("needs decisions with the usage of each expert")
    shares, shown, cut = [], [], 0
    for layer, ids in enumerate(experts):
        table = np.array(
            [[float(_layer_share(e, layer).get(i, 0.0)) for i in ids] for e in events]
        ).reshape(len(events), len(ids))
        kept = np.sort(np.argsort(-table.sum(axis=0), kind="stable")[:most])
        cut = max(cut, len(ids) - len(kept))
        # The weights of an ensemble, with that of the raw input, sum to 1.
        raw = 1 - table.sum(axis=1)
        raw[np.abs(raw) < ROUNDING] = 0.0
        shares.append(np.column_stack([table[:, kept], raw] if raw.any() else [table[:, kept]]))
        shown.append([ids[i] for i in kept] + [RAW] * int(raw.any()))
    note = f"the {most} most used experts of a layer are shown" if cut else ""
    return Usage(shares, shown, [line(str(e["name"])) for e in events], method, seed, note)


def _layer_share(event: dict[str, Any], layer: int) -> dict[str, float]:
    shares = _layer(event, "usage", layer)
    return {line(str(i)): float(s) for i, s in shares.items()} if shares else {}


def draw_usage(info: Usage) -> Figure:
    """Draw one heat map per layer: rows are tasks, columns experts (oldest first)."""
    count = len(info.tasks)
    widths = [max(1, len(ids)) for ids in info.experts]
    with context():
        width = min(PAGE, max(3.0, 1.9 + 0.3 * sum(widths)))
        drawn = figure(width, min(6.5, max(1.6, 0.9 + 0.2 * count)))
        panels = drawn.subplots(
            1, len(widths), squeeze=False, sharey=True, width_ratios=widths
        ).flatten()
        for layer, (ax, share_TE) in enumerate(zip(panels, info.shares, strict=True)):
            sns.heatmap(
                share_TE, ax=ax, vmin=0, vmax=1, cmap="Blues", cbar=False,
                linewidths=0.4 if count <= 40 else 0, linecolor="#DDDDDD",
            )  # fmt: skip
            ax.set_title(f"layer {layer + 1}" if len(panels) > 1 else "")
            at = evenly(len(info.experts[layer]), 12)
            ids = short(info.experts[layer])
            ax.set_xticks([i + 0.5 for i in at], [ids[i] for i in at], rotation=0)
            _name_tasks(ax, info.tasks, offset=0.5)
            ax.tick_params(length=0)
        bar = drawn.colorbar(panels[0].collections[0], ax=panels, fraction=0.04, aspect=25)
        percent(bar.ax.yaxis)
        bar.set_label("weight (%)")
        bar.outline.set_visible(False)
        notes = "; ".join(note for note in (f"seed {info.seed}", info.note) if note)
        drawn.supxlabel(f"expert ({notes})", fontsize=8)
    return drawn


def _name_tasks(ax: Axes, tasks: list[str], offset: float) -> None:
    at = range(len(tasks)) if len(tasks) <= 35 else evenly(len(tasks), 20)
    names = short(tasks, 18)
    ax.set_yticks([i + offset for i in at], [names[i] for i in at], rotation=0)


def timeline_data(data: StudyData, method: str, seed: int | None = None) -> Timeline:
    """Return how each task uses each expert.

    An expert that the decision created is marked as grown (or as a copy), one that it retrains as
    retrained; other experts on the task's path are marked by the decision's kind. A task with an
    ensemble marks the experts that it reads.

    Raises:
        AbsentError: the run has no events with a path.
    """
    events, seed = _events(data, method, seed)
    layers = max((len(e.get(key) or []) for e in events for key in ("path", "usage")), default=0)
    used = [[_used(event, layer) for event in events] for layer in range(layers)]
    experts = [list(dict.fromkeys(i for ids in layer for i in ids)) for layer in used]
    if not any(experts):
        raise AbsentError("needs decisions with the experts on the task's path")
    marks: list[list[Mark]] = [[] for _ in experts]
    for layer, ids in enumerate(experts):
        born: set[str] = set()
        for event, here in zip(events, used[layer], strict=True):
            for i in here:
                kind = _became(event, layer, i, first=i not in born)
                marks[layer].append(Mark(int(event["task"]), ids.index(i), kind))
            born.update(here)
    return Timeline(marks, experts, data.stream_tasks, method, seed)


def _used(event: dict[str, Any], layer: int) -> list[str]:
    """Return the experts on a task's path, or those that its ensemble reads."""
    ids = _layer(event, "path", layer) or _layer(event, "usage", layer)
    return [line(str(i)) for i in ids]


def _became(event: dict[str, Any], layer: int, expert: str, *, first: bool) -> str:
    """Return the kind of mark (a key of MARKS) for an expert that a decision uses.

    The initial experts of a network are not created by a decision; their first use counts.
    """

    def named(key: str) -> bool:
        return [layer, expert] in [[int(at), line(str(i))] for at, i in event.get(key) or []]

    kind = str(event["kind"])
    if named("new_experts") or (first and kind in GROWING):
        return "copy" if kind == "copy" else "fresh"
    if named("retrained") or (kind == "reassign" and "retrained" not in event):
        return "reassign"
    # Grown or retrained in another layer: this expert is shared unchanged.
    return "reuse" if kind in (*GROWING, "reassign") else kind


def draw_timeline(info: Timeline) -> Figure:
    """Draw each expert as a line from its first task on, with a mark for each use."""
    rows = [max(1, len(ids)) for ids in info.experts]
    step = 0.24 if sum(rows) <= 25 else 6.0 / sum(rows)
    count = len(info.tasks)
    with context():
        names = count <= 20
        height = step * sum(rows) + 0.35 * len(rows) + (1.3 if names else 0.9)
        drawn = figure(PAGE if count > 12 else 5.4, min(9.0, height))
        panels = drawn.subplots(
            len(rows), 1, squeeze=False, sharex=True, height_ratios=rows
        ).flatten()
        for layer, ax in enumerate(panels):
            _draw_lives(ax, info.marks[layer], info.experts[layer], count)
            if len(panels) > 1:
                ax.set_title(f"layer {layer + 1}", loc="left")
        at = list(range(count)) if names else evenly(count, 10)
        labels = short(info.tasks, 18) if names else [str(i) for i in range(count)]
        panels[-1].set_xticks(
            at, [labels[i] for i in at],
            rotation=40 if names else 0, ha="right" if names else "center",
            rotation_mode="anchor" if names else "default",
        )  # fmt: skip
        panels[-1].set_xlim(-0.5, count - 0.5)
        panels[-1].set_xlabel(f"task (seed {info.seed})")
        drawn.supylabel("expert (oldest at the bottom)", fontsize=8)
        _legend_of_marks(drawn, {mark.kind for marks in info.marks for mark in marks})
        sns.despine(fig=drawn, left=True)
    return drawn


def _draw_lives(ax: Axes, marks: list[Mark], ids: list[str], count: int) -> None:
    size = 5.0 if count <= 30 and len(ids) <= 25 else 2.5
    for row in range(len(ids)):
        born = min(mark.x for mark in marks if mark.y == row)
        ax.plot([born, count - 0.6], [row, row], color="#CCCCCC", linewidth=0.8, zorder=1)
    for mark in marks:
        _, colour, marker, filled = MARKS.get(mark.kind, MARKS["fixed"])
        ax.plot(
            mark.x, mark.y, marker, color=colour, markersize=size, zorder=3,
            markerfacecolor=colour if filled else "white", markeredgewidth=1.0,
        )  # fmt: skip
    at = evenly(len(ids), 30)
    named = short(ids)
    ax.set_yticks(at, [named[i] for i in at])
    ax.set_ylim(-0.6, len(ids) - 0.4)
    ax.tick_params(axis="y", length=0)


def _legend_of_marks(drawn: Figure, used: set[str]) -> None:
    handles = [
        Line2D([], [], linestyle="none", marker=marker, color=colour, label=name, markersize=5,
               markerfacecolor=colour if filled else "white")
        for kind, (name, colour, marker, filled) in MARKS.items()
        if kind in used
    ]  # fmt: skip
    drawn.legend(handles=handles, loc="outside upper center", ncols=3, handletextpad=0.3)
