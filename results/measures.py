"""How the claims of claims.py are read from studies: each measure gives a number a seed.

Differences and quotients are paired by seed: a seed that one of the two has not is left out.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from functools import cache
from typing import NamedTuple, TypeAlias

import pandas as pd

from cl_moe.analysis.data import Array, StudyData, by_run
from cl_moe.analysis.metrics import (
    average_accuracy,
    compute,
    probe_families,
    samples_to_target,
    unrelated_split,
)
from cl_moe.analysis.tables import quantity

__all__ = (
    "Measure", "Measured", "NotMeasuredError", "change_of_base", "experts_per_task", "gain",
    "gain_at_half_capacity", "gain_by_relation", "gain_over_best", "level", "mean_gain",
    "quotient", "samples_saved",
)  # fmt: skip

BySeed: TypeAlias = "pd.Series[float]"
RELATIONS = {"shifted input": " input", "permuted labels": " labels", "new classes": "new classes"}
"""Kinds of relation, and how the relations that are of the kind end: inverted input, too."""


class NotMeasuredError(Exception):
    """The study is there, but not what is asked of it; says what is missing."""


class Measured(NamedTuple):
    """A number a seed (a share in 0..1 or a ratio), and what else a reader should know."""

    values: BySeed
    note: str = ""


Measure: TypeAlias = Callable[..., Measured]
"""From one study, or more, to what was measured; raises NotMeasuredError."""


def _values(data: StudyData, method: str, metric: str, group: str | None = None) -> BySeed:
    """Return a metric of a method by seed; undefined ones are left out."""
    _check(data, method)
    frame = compute(data)
    of_group = frame["group"].isna() if group is None else frame["group"] == group
    wanted = (frame["method"] == method) & (frame["metric"] == metric) & of_group
    found = frame[wanted].set_index("seed")["value"].dropna()
    if found.empty:
        raise NotMeasuredError(f"no {metric} of {method}" + (f", group {group}" if group else ""))
    return found


def _check(data: StudyData, *methods: str) -> None:
    missing = [method for method in methods if method not in data.method_names]
    if missing:
        raise NotMeasuredError(f"no method {', '.join(missing)}")


@cache
def _matrices(data: StudyData) -> dict[tuple[str, int], Array]:
    return data.accuracies()


def _from_matrices(data: StudyData, method: str, read: Callable[[Array], float]) -> BySeed:
    """Return what is read from every accuracy matrix of a method, by seed."""
    _check(data, method)
    runs = _matrices(data).items()
    return pd.Series(
        {seed: read(a_TT) for (name, seed), a_TT in runs if name == method}, dtype=float
    )


def level(method: str) -> Measure:
    """Measure a method's average accuracy."""
    return lambda data: Measured(_values(data, method, "average_accuracy"))


def gain(
    over: str, group: str | None = None, *, of: str = "moe", metric: str = "average_accuracy"
) -> Measure:
    """Measure how far one method is above another, by default in accuracy after the last task."""
    return lambda data: Measured(
        _values(data, of, metric, group) - _values(data, over, metric, group)
    )


def mean_gain(over: str) -> Measure:
    """Measure the gain averaged over several studies, seed by seed."""

    def measure(*studies: StudyData) -> Measured:
        gains = [gain(over)(data).values for data in studies]
        return Measured(pd.concat(gains, axis=1).mean(axis=1, skipna=False))

    return measure


def gain_over_best(*rivals: str, group: str) -> Measure:
    """Measure the gain over that rival which has the best mean, over the seeds that all have."""

    def measure(data: StudyData) -> Measured:
        _check(data, "moe", *rivals)
        every = {m: _values(data, m, "average_accuracy", group) for m in ("moe", *rivals)}
        frame = pd.DataFrame(every).dropna()
        if frame.empty:
            raise NotMeasuredError("no seed that all methods have")
        best = str(frame[list(rivals)].mean().idxmax())
        return Measured(frame["moe"] - frame[best], f"the best is {best}")

    return measure


def gain_by_relation(relation: str, over: str, group: str) -> Measure:
    """Measure the gain at the end on the tasks of a group that are related in one way."""

    def measure(data: StudyData) -> Measured:
        stream = data.tasks[~data.tasks["probe"]]
        pairs = zip(stream["group"], stream["relation"].fillna("").str.split(", "), strict=True)
        columns = [
            position
            for position, (own, names) in enumerate(pairs)
            if own == group and any(f" {name}".endswith(RELATIONS[relation]) for name in names)
        ]
        if not columns:
            raise NotMeasuredError(f"no {relation} in group {group}")
        moe, other = (
            _from_matrices(data, m, lambda a_TT: average_accuracy(a_TT, columns))
            for m in ("moe", over)
        )
        return Measured(moe - other, f"{len(columns)} tasks")

    return measure


def change_of_base(method: str) -> Measure:
    """Measure the change of the base tasks' mean accuracy since the first unrelated task."""

    def measure(data: StudyData) -> Measured:
        base, unrelated = unrelated_split(data)
        if not base:
            raise NotMeasuredError("no base and unrelated tasks")
        before = unrelated[0] - 1
        return Measured(
            _from_matrices(data, method, lambda a_TT: float((a_TT[-1] - a_TT[before])[base].mean()))
        )

    return measure


def quotient(above: tuple[str, str], below: tuple[str, str]) -> Measure:
    """Measure one (method, metric) over another; undefined where one of them is 0."""

    def measure(data: StudyData) -> Measured:
        first, second = _values(data, *above), _values(data, *below)
        return Measured(first.where(first > 0) / second.where(second > 0))

    return measure


def experts_per_task(data: StudyData, method: str = "moe") -> Measured:
    """Measure the experts of a method at the end, over the tasks of the stream."""
    return Measured(_values(data, method, "experts") / len(data.stream_tasks))


def gain_at_half_capacity(over: str) -> Measure:
    """Measure the gain of the moe-N with the limit nearest to half of what free growth uses.

    Of two that are as near, the one with more room.
    """

    def measure(data: StudyData) -> Measured:
        used = float(_values(data, "moe", "experts").mean())
        limits = [name[4:] for name in data.method_names if name.startswith("moe-")]
        numbers = [int(limit) for limit in limits if limit.isdecimal()]
        if not numbers:
            raise NotMeasuredError("no method moe-N")
        half = min(numbers, key=lambda n: (abs(n - used / 2), -n))
        found = gain(over, of=f"moe-{half}")(data)
        return Measured(found.values, f"moe-{half}; free growth uses {used:.3g} experts")

    return measure


def _curves(data: StudyData, sizes: Mapping[int, str]) -> dict[tuple[str, int], dict[int, float]]:
    """Return the accuracy by number of samples on one probe's sizes, by (method, seed)."""
    rows, number = data.rows, {probe: n for n, probe in sizes.items()}
    at_end = (rows["after_task"] == len(data.stream_tasks)) & rows["epoch"].isna()
    wanted = at_end & (rows["metric"] == "accuracy") & rows["task"].isin(number)
    return {
        run: {number[str(t)]: float(v) for t, v in zip(of["task"], of["value"], strict=True)}
        for run, of in by_run(rows[wanted]).items()
    }


def _samples(data: StudyData, sizes: Mapping[int, str], method: str) -> BySeed:
    """Return the samples that a method needs for 95 % of single_task's score with all, by seed."""
    curves = _curves(data, sizes)
    needed = {
        seed: samples_to_target(curve, curves.get(("single_task", seed), {}))
        for (name, seed), curve in curves.items()
        if name == method
    }
    return pd.Series(needed, dtype=float)


def samples_saved(group: str) -> Measure:
    """Measure the quotient of the samples that moe and single_task need for the same target.

    The target is 95 % of what single_task reaches with all samples; a method that does not reach it
    needs infinitely many. The mean over the group's probes is geometric. Only the measured sizes
    count: a method that needs fewer samples than the smallest size counts as needing that size.
    """

    def measure(data: StudyData) -> Measured:
        _check(data, "moe", "single_task")
        members, logs, notes = set(data.groups(probe=True).get(group, [])), [], []
        for family, sizes in probe_families(data).items():
            if members.issuperset(sizes.values()):
                moe, single_task = (
                    _samples(data, sizes, method) for method in ("moe", "single_task")
                )
                logs.append((moe / single_task).apply(math.log))
                medians = (quantity(float(s.median()), "examples") for s in (moe, single_task))
                notes.append(f"{family} {' for '.join(medians)}")
        if not logs:
            raise NotMeasuredError(f"no probes of group {group} at two sizes or more")
        mean = pd.concat(logs, axis=1).mean(axis=1, skipna=False)
        return Measured(mean.apply(math.exp), "medians: " + ", ".join(notes))

    return measure
