"""The method that is significantly the best in a column."""

from __future__ import annotations

from collections.abc import Mapping

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.divergence import diverged_methods
from cl_moe.analysis.metrics import compute
from cl_moe.analysis.metrics.names import metric_called
from cl_moe.analysis.stats import ENOUGH, Interval, differences, intervals

__all__ = ("RACED", "clear_best", "joint_methods")

RACED = ("share", "examples")  # units of metrics that have a best value; costs are not compared


def joint_methods(data: StudyData) -> list[str]:
    """Return the methods that are trained on all tasks at once, which are not compared."""
    return [str(m) for m in data.methods.loc[data.methods["type"] == "joint", "method"]]


def clear_best(
    data: StudyData, found: Mapping[str, Interval], metric: str, group: str | None
) -> str | None:
    """Return the method that is significantly better than every other one, or None.

    The 95 % interval of its difference to each other method, paired by seed, excludes 0. There is
    none where methods tie, where a mean is not finite, or with fewer than three seeds. Methods that
    diverged or that are trained on all tasks at once are not compared.

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
