"""Which method is clearly the best of a column: ahead by more than seeds account for."""

from __future__ import annotations

from collections.abc import Mapping

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.divergence import diverged_methods
from cl_moe.analysis.metrics import compute
from cl_moe.analysis.metrics.names import metric_called
from cl_moe.analysis.stats import ENOUGH, Interval, differences, intervals

__all__ = ("RACED", "clear_best", "joint_methods")

RACED = ("share", "examples")  # units in which there is a best; costs are what they are


def joint_methods(data: StudyData) -> list[str]:
    """Return the methods that see all tasks at once: they are not in the race."""
    return [str(m) for m in data.methods.loc[data.methods["type"] == "joint", "method"]]


def clear_best(
    data: StudyData, found: Mapping[str, Interval], metric: str, group: str | None
) -> str | None:
    """Return the method that is ahead of each other one, beyond what seeds may do; or None.

    Its difference to each other method, paired by seed, has a 95 % interval that leaves out 0. So
    there is none where methods tie, none where a mean is not finite, and none with fewer than three
    seeds. A method that diverged is not in the race, nor is one that sees all tasks at once.

    Args:
        data: the study.
        found: the metric's means by method.
        metric: name of the metric.
        group: of tasks; None for all.
    """
    known, out = metric_called(metric), {*joint_methods(data), *diverged_methods(data)}
    racing = [m for m, value in found.items() if m not in out and value.seeds]
    if known is None or known.higher_is_better is None or known.unit not in RACED:
        return None
    if len(racing) < 2:
        return None
    sign = 1 if known.higher_is_better else -1
    best = max(racing, key=lambda method: sign * found[method].mean)
    values = compute(data)
    own = values["group"].isna() if group is None else values["group"] == group
    gaps = intervals(differences(values[own & (values["metric"] == metric)], best))
    behind = [gaps.get((m, metric, group)) for m in racing if m != best]
    clear = all(g and g.seeds >= ENOUGH and max(sign * g.low, sign * g.high) < 0 for g in behind)
    return best if clear else None
