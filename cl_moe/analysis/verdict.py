"""The verdict of a study: one sentence on significant leads, gains and forgetting."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from cl_moe.analysis.best import joint_methods
from cl_moe.analysis.data import StudyData
from cl_moe.analysis.divergence import diverged_methods
from cl_moe.analysis.metrics import compute
from cl_moe.analysis.shortfalls import method_of_interest
from cl_moe.analysis.stats import ENOUGH, Interval, differences, intervals, summarize
from cl_moe.analysis.tables import MAX_GROUPS, quantity

__all__ = ("Standing", "standings", "verdict")

METRIC = "average_accuracy"
FORGETFUL = ("dense", "ewc")
"""Types of methods whose forgetting is reported with that of the method of interest."""


class Standing(NamedTuple):
    """The comparison of a method with the others on a group of tasks.

    Attributes:
        group: the group of tasks; None for all.
        leads: it is ahead of every other compared method, and each interval excludes 0.
        rival: the best of the methods that it does not lead; of all others if it leads.
        gap: method - rival, average accuracy (a share), paired by seed.
        gain: method - single_task, the same; None without a compared method of type single_task.
    """

    group: str | None
    leads: bool
    rival: str
    gap: Interval
    gain: Interval | None


def standings(data: StudyData, method: str) -> list[Standing]:
    """Compare a method with the others on all tasks and on each group of tasks.

    Methods that are trained on all tasks at once or that diverged are not compared. Groups on which
    no other method's average accuracy is defined are omitted, and so is a single group.
    """
    out = {*joint_methods(data), *diverged_methods(data)}
    values = compute(data)
    values = values[(values["metric"] == METRIC) & ~values["method"].isin(out)]
    means, groups = intervals(summarize(values)), list(data.groups())[:MAX_GROUPS]
    found = []
    for group in (None, *(groups if len(groups) > 1 else ())):
        mean = {m: v.mean for (m, _, g), v in means.items() if g == group and v.seeds}
        gaps = {m: _gap(values, method, m, group) for m in mean if m != method}
        gaps = {m: gap for m, gap in gaps.items() if gap.seeds}
        if method in mean and gaps:
            unbeaten = [m for m, gap in gaps.items() if not gap.low > 0]
            rival = max(unbeaten or gaps, key=lambda m: mean[m])
            gain = gaps.get(str(data.of_type("single_task")))
            found.append(Standing(group, not unbeaten, rival, gaps[rival], gain))
    return found


def _gap(values: pd.DataFrame, method: str, rival: str, group: str | None) -> Interval:
    """Return method - rival on a group; with 0 seeds if they share none."""
    of_group = values[values["group"].isna() if group is None else values["group"] == group]
    nan = float("nan")
    found = intervals(differences(of_group, rival))
    return found.get((method, METRIC, group), Interval(nan, nan, nan, 0, "none"))


def verdict(data: StudyData) -> str:
    """Return the verdict on the method of interest, in one sentence.

    It names the groups of tasks on which the method leads, and the difference to the best other
    method; those on which it gains over ``single_task`` without a lead; those without a significant
    gain; those on which it is behind ``single_task``; and the forgetting of the method, a dense
    network and EWC. A lead is a difference to each other method, paired by seed, whose 95 %
    interval excludes 0. Fewer than three seeds give no verdict.

    Returns:
        The sentence; empty without another method to compare with, or without accuracies.
    """
    method = method_of_interest(data)
    if method is None:
        return ""
    if method in diverged_methods(data):
        return f"No verdict: {method} diverged."
    found = standings(data, method)
    if not found:
        return ""
    fewest = min(standing.gap.seeds for standing in found)
    if fewest < ENOUGH:
        return _too_few(method, found[0], fewest)
    clauses: dict[str, list[str]] = {}
    for standing in found:
        start, part = _clause(data, method, standing)
        clauses.setdefault(start, []).append(part)
    told = [f"{start} {_listed(parts)}" for start, parts in clauses.items()]
    text = "; ".join([*told, *_forgot(data, method)])
    return f"{text}."


def _too_few(method: str, overall: Standing, seeds: int) -> str:
    way = "ahead of" if overall.gap.mean >= 0 else "behind"
    return (
        f"Too few seeds for a verdict: over {seeds} seed{'s' if seeds != 1 else ''} {method} is "
        f"{quantity(abs(overall.gap.mean), 'share')} points {way} {overall.rival}; {ENOUGH} "
        "or more are needed."
    )


def _clause(data: StudyData, method: str, standing: Standing) -> tuple[str, str]:
    """Return the beginning of a clause, and its part on a group of tasks."""
    gap = _against(standing.group, standing.rival, standing.gap)
    if standing.leads:
        return f"{method} leads", gap
    if standing.gain is None or not _has_experts(data, method):
        return f"{method} has no significant lead", gap
    gain = _against(standing.group, str(data.of_type("single_task")), standing.gain)
    if standing.gain.low > 0:
        return f"{method} gains but has no significant lead", gap
    if standing.gain.high < 0:
        return "experts do not help", gain
    return "no significant gain from experts", gain


def _has_experts(data: StudyData, method: str) -> bool:
    return bool((data.rows["metric"].eq("experts") & data.rows["method"].eq(method)).any())


def _against(group: str | None, rival: str, gap: Interval) -> str:
    """Return the comparison on a group of tasks in words.

    >>> _against("few_shot", "replay", Interval(0.148, 0.091, 0.205, 5, "t"))
    'on few-shot tasks (+14.8 points against replay, 95 % interval +9.1 to +20.5)'
    """
    kind = "over all tasks" if group is None else f"on {group.replace('_', '-')} tasks"
    mean, low, high = (quantity(value, "share", sign=True) for value in gap[:3])
    return f"{kind} ({mean} points against {rival}, 95 % interval {low} to {high})"


def _listed(parts: Sequence[str]) -> str:
    return " and ".join([", ".join(parts[:-1]), parts[-1]] if len(parts) > 1 else parts)


def _forgot(data: StudyData, method: str) -> list[str]:
    """Return a clause on the forgetting of dense, EWC and the method; none if unknown."""
    values = compute(data)
    means = intervals(summarize(values[values["metric"] == "forgetting"]))
    known = {m: v for (m, _, group), v in means.items() if group is None and v.seeds}
    told = dict.fromkeys([*map(data.of_type, FORGETFUL), method])
    parts = [f"{quantity(known[m].mean, 'share')} by {m}" for m in told if m in known]
    return [f"points forgotten: {_listed(parts)}"] if parts else []
