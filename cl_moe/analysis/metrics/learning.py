"""Learning speed, sample efficiency, and the effect of unrelated tasks on earlier ones."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import numpy as np

from cl_moe.analysis.data import Array, StudyData
from cl_moe.analysis.metrics.accuracy import mean

__all__ = (
    "learning_curve_area",
    "probe_families",
    "samples_to_target",
    "unrelated_slope",
    "unrelated_split",
)

UNRELATED = "unrelated"


def learning_curve_area(curve: Sequence[tuple[int, float]], beta: int = 5) -> float:
    """Return the mean test accuracy at epochs 0..beta while a task is learned.

    Lopez-Paz & Ranzato's and Chaudhry et al. 2019's learning curve area (arxiv.org/abs/1812.00420,
    eq. 4), as used by Veniat et al. 2021 (arxiv.org/abs/2012.12631): an epoch without a value
    takes the last one before it. Undefined without a value at epoch 0. There, beta counts steps;
    here, epochs. Later epochs, which ``min_steps`` gives to small tasks, have no influence.

    >>> round(learning_curve_area([(0, 0.1), (1, 0.5), (2, 0.8)], beta=3), 3)  # then 0.8 again
    0.55
    >>> learning_curve_area([(1, 0.5)])
    nan
    """
    known = dict(curve)
    if 0 not in known:
        return float("nan")
    values = [known[0]]
    for epoch in range(1, beta + 1):
        values.append(known.get(epoch, values[-1]))
    return mean(values)


def samples_to_target(
    accuracy: Mapping[int, float], single_task: Mapping[int, float], share: float = 0.95
) -> float:
    """Return the smallest n whose accuracy reaches 95 % of ``single_task``'s with all data.

    Args:
        accuracy: test accuracy by number of training examples n.
        single_task: the same for a model that saw only this task; the largest n is "all data".
        share: the fraction of the accuracy of ``single_task`` to reach.

    Returns:
        One of the n; infinity if none of them reaches the target (which makes a mean over seeds
        infinite, too); NaN with fewer than two n, or where the accuracy is missing
        at an n up to the result, or that of ``single_task`` at the largest n.

    >>> single_task = {8: 0.5, 32: 0.7, 128: 0.9}
    >>> samples_to_target({8: 0.6, 32: 0.88, 128: 0.9}, single_task)  # target 0.855
    32.0
    >>> samples_to_target({8: 0.1, 32: 0.2, 128: 0.3}, single_task)
    inf
    >>> samples_to_target({8: 0.6}, {})
    nan
    """
    sizes = sorted(set(accuracy) | set(single_task))
    if len(sizes) < 2 or np.isnan(target := share * single_task.get(sizes[-1], np.nan)):
        return float("nan")
    for n in sizes:
        reached = accuracy.get(n, np.nan)
        if np.isnan(reached):
            return float("nan")
        if reached >= target:
            return float(n)
    return float("inf")


def unrelated_slope(a_TT: Array, base: Sequence[int], unrelated: Sequence[int]) -> float:
    """Return the change of the base tasks' mean accuracy per unrelated task added.

    Least squares over the steps from the one before the first unrelated task to the end; x is the
    number of unrelated tasks learned by then. In accuracy (0..1) per task; 0 is no loss.
    Undefined without base tasks, without unrelated tasks, or where a value is missing.

    >>> a = np.full((4, 4), np.nan)
    >>> a[1:, 0], a[1:, 1] = [0.9, 0.8, 0.7], [0.7, 0.6, 0.5]  # means 0.8, 0.7, 0.6
    >>> round(unrelated_slope(a, base=[0, 1], unrelated=[2, 3]), 3)
    -0.1
    """
    if not len(base) or not len(unrelated):
        return float("nan")
    steps = range(min(unrelated) - 1, len(a_TT))
    added = np.array([sum(u <= k for u in unrelated) for k in steps], dtype=float)
    level = np.array([mean([a_TT[k, j] for j in base]) for k in steps])
    centred = added - added.mean()
    return float(centred @ (level - level.mean()) / (centred @ centred))


def unrelated_split(data: StudyData) -> tuple[list[int], list[int]]:
    """Return the positions of the base tasks and of the unrelated tasks added to them.

    Unrelated are the stream's tasks whose group or relation is ``unrelated``; base are all tasks
    before the first of them. Both are empty where the stream has no unrelated task or begins with
    one.
    """
    stream = data.tasks[~data.tasks["probe"]]
    marked = (stream["group"] == UNRELATED) | (stream["relation"] == UNRELATED)
    unrelated = [int(position) for position in np.flatnonzero(marked)]
    base = list(range(unrelated[0])) if unrelated else []
    return (base, unrelated) if base else ([], [])


def probe_families(data: StudyData) -> dict[str, dict[int, str]]:
    """Return the probes that are one task at several sizes: {family: {n_train: probe's name}}.

    Probes are of one family if their names differ only in the size at their end: ``new@8`` and
    ``new@16``, where the number after the @ (or after a space, dash, underscore or equals sign, if
    it is the number of examples, in total or per class) is the size. Families have two sizes or
    more.
    """
    families: dict[str, dict[int, str]] = {}
    for probe in data.probes.to_dict("records"):
        name, n_train = str(probe["task"]), int(probe["n_train"])
        stem, mark, number = re.fullmatch(r"(.*?)(?:([ @_=-])n?[=_-]?(\d+))?", name).groups()  # type: ignore[union-attr]
        sizes = {n_train, n_train / int(probe["n_classes"])}
        if mark == "@" or (mark and int(number) in sizes):
            families.setdefault(stem, {})[n_train] = name
    return {
        stem: dict(sorted(members.items()))
        for stem, members in families.items()
        if len(members) > 1
    }
