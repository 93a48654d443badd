"""Validation of a study's frames."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from cl_moe.analysis.frames import (
    PAIR_COLUMNS,
    ROW_COLUMNS,
    ROW_KEY,
    TASK_COLUMNS,
    TIMING_COLUMNS,
    Frames,
)
from cl_moe.analysis.scores import LEAST, NAMES, score_rows
from cl_moe.errors import did_you_mean
from cl_moe.escape import line

__all__ = ("bad_names", "bad_values", "missing_columns")

EVENT_KEYS: Mapping[str, type] = {
    "method": str, "seed": int, "task": int, "name": str, "kind": str, "sentence": str,
}  # fmt: skip


def _is_expert(item: Any) -> bool:
    """Whether an item is (position of a layer, id of an expert)."""
    return isinstance(item, (list, tuple)) and [type(part) for part in item] in (
        [int, str],
        [int] * 2,
    )


def _is_path(item: Any) -> bool:
    return isinstance(item, (list, tuple)) and all(type(part) in (int, str) for part in item)


def _is_usage(item: Any) -> bool:
    """Whether an item is a share by expert; nan in a run that diverged."""
    if not isinstance(item, dict):
        return item is None
    return all(type(share) in (int, float) for share in item.values())


EVENT_LISTS: Mapping[str, Callable[[Any], bool]] = {
    "path": _is_path, "new_experts": _is_expert, "retrained": _is_expert, "usage": _is_usage,
    "frozen": lambda _: True, "candidates": lambda item: isinstance(item, dict),
}  # fmt: skip
"""Optional keys of an event, which are lists, and the check of an item."""


def missing_columns(data: Frames) -> list[str]:
    """Return an error for every missing column of the frames and missing key of the events."""
    wanted = {
        "rows": ROW_COLUMNS, "tasks": TASK_COLUMNS,
        "methods": ("method", "type"), "timings": TIMING_COLUMNS, "pairs": PAIR_COLUMNS,
    }  # fmt: skip
    problems = [
        f"{frame}: no column '{column}'; {did_you_mean(column, map(str, getattr(data, frame)))}"
        for frame, columns in wanted.items()
        for column in columns
        if column not in getattr(data, frame)
    ]
    for number, event in enumerate(data.events):
        missing = [key for key in EVENT_KEYS if key not in event]
        if missing:
            problems.append(f"events[{number}]: no {', '.join(missing)}")
        wrong = [k for k, kind in EVENT_KEYS.items() if k in event and type(event[k]) is not kind]
        wrong += [
            key
            for key, is_right in EVENT_LISTS.items()
            if not (isinstance(event.get(key, []), list) and all(map(is_right, event.get(key, []))))
        ]
        problems += [f"events[{number}].{k}: {event[k]!r:.60} has the wrong type" for k in wrong]
    return problems


def _not_on_one_line(data: Frames) -> list[str]:
    """Return an error for every name that is no printable text on one line."""
    columns = {
        "tasks": (data.tasks, ("task", "group", "derived_from", "relation")),
        "methods": (data.methods, ("method", "type")),
    }
    named: list[tuple[str, Any]] = [("name", data.name)]
    named += [("sources", source) for source in data.sources]
    for frame, (table, keys) in columns.items():
        named += [(f"{frame}, {key}", name) for key in keys for name in table[key]]
    return [
        f"{place}: {name!r:.60} is not a name; give a text on one line"
        for place, name in named
        if not (isinstance(name, str) and line(name) == name)
        and not (name is None or (isinstance(name, float) and math.isnan(name)))
    ]


def bad_names(data: Frames) -> list[str]:
    """Return an error for every duplicate name, and for names that are in no table."""
    problems = _not_on_one_line(data)
    if problems:
        return problems
    tasks, methods = set(map(str, data.tasks["task"])), data.method_names
    problems = [
        f"{place}: '{name}' is given {count} times; names must differ"
        for place, column in (("tasks", data.tasks["task"]), ("methods", data.methods["method"]))
        for name, count in column.value_counts().items()
        if count > 1
    ]
    of_tasks = (("rows", "task"), ("pairs", "after"), ("pairs", "task"))
    problems += [
        f"{frame}: task '{name}' is not in the table of tasks; {did_you_mean(str(name), tasks)}"
        for frame, column in of_tasks
        for name in getattr(data, frame)[column].dropna().unique()
        if str(name) not in tasks
    ]
    used = {"rows": data.rows["method"].unique(), "timings": data.timings["method"].unique()}
    used["events"] = np.array(sorted({str(event["method"]) for event in data.events}))
    problems += [
        f"{place}: method '{name}' is not in the table of methods; "
        f"{did_you_mean(str(name), methods)}"
        for place, names in used.items()
        for name in names
        if str(name) not in methods
    ]
    if data.baseline is not None and data.baseline not in methods:
        hint = did_you_mean(data.baseline, methods)
        problems.append(f"baseline: '{data.baseline}' is not a method of the study; {hint}")
    return problems


def bad_values(data: Frames) -> list[str]:
    """Return an error for values out of range, and for duplicate rows."""
    steps, tasks = data.rows["after_task"], int((~data.tasks["probe"]).sum())
    problems = [
        f"rows: after_task {step} of {tasks} tasks; the last is {tasks - 1}, probes have {tasks}"
        for step in steps[steps > tasks].unique()
    ]
    measured = score_rows(data.rows)
    paired = data.pairs.assign(metric=data.pairs["task"].astype(str).map(data.scores))
    for place, accuracy, frame, key in (
        ("rows", measured, data.rows, ROW_KEY),
        ("pairs", paired, data.pairs, PAIR_COLUMNS[:-1]),
    ):
        for metric, least in LEAST.items():
            own = accuracy[accuracy["metric"] == metric]
            outside = own[~own["value"].between(least, 1.0) & own["value"].notna()]
            if len(outside):
                first = outside.iloc[0]
                bounds = "outside 0..1" if least == 0 else "above 1"
                problems.append(
                    f"{place}: {len(outside)} {NAMES[metric]} are {bounds}, the first "
                    f"{first['value']:g} of method '{first['method']}' on '{first['task']}'; "
                    "give shares, not per cent"
                )
        twice = frame[frame.duplicated(list(key))]
        if len(twice):
            where = ", ".join(f"{column}={twice.iloc[0][column]}" for column in key)
            count = f"{len(twice)} are given twice"
            problems.append(f"{place}: {count}, the first at {where}; keep one")
    return problems
