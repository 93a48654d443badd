"""Accuracy and forgetting, as functions of one run's accuracy matrix.

``a[k][j]`` is the test accuracy on task j after task k was learned, shape [T, T], NaN where there
is none. ``columns`` restricts a metric to some tasks (a group); None means all. A mean over tasks
is undefined (NaN) if one of its terms is, since a mean over fewer tasks is another quantity.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cl_moe.analysis.data import Array

__all__ = (
    "average_accuracy",
    "average_incremental_accuracy",
    "backward_transfer",
    "forgetting",
    "mean",
    "sampled_incremental_accuracy",
)

Columns = Sequence[int] | None


def mean(values: Sequence[float] | Array) -> float:
    """Return the mean; NaN without values or if one is NaN.

    >>> mean([0.5, 1.0]), mean([]), mean([0.5, float("nan")])
    (0.75, nan, nan)
    """
    return float(np.mean(values)) if len(values) else float("nan")


def pick(a_TT: Array, columns: Columns) -> list[int]:
    """Return the wanted columns; all of them for None.

    >>> pick(np.zeros((3, 3)), None)
    [0, 1, 2]
    """
    assert a_TT.shape == (len(a_TT), len(a_TT)), "an accuracy matrix is [T, T]"
    return list(range(len(a_TT))) if columns is None else list(columns)


def average_accuracy(a_TT: Array, columns: Columns = None) -> float:
    """Return mean_j a[T][j] (Lopez-Paz & Ranzato 2017, eq. 2, arxiv.org/abs/1706.08840).

    >>> a = np.array([[0.9, np.nan, np.nan], [0.7, 0.8, np.nan], [0.5, 0.9, 0.7]])
    >>> round(average_accuracy(a), 3)  # (0.5 + 0.9 + 0.7) / 3
    0.7
    >>> round(average_accuracy(a, columns=[1, 2]), 3)
    0.8
    """
    return mean([a_TT[-1, j] for j in pick(a_TT, columns)])


def average_incremental_accuracy(a_TT: Array, columns: Columns = None) -> float:
    """Return mean_k mean_{j<=k} a[k][j] (Rebuffi et al. 2017, sec. 4, arxiv.org/abs/1611.07725).

    Restricted to a group, k runs over the steps by which one of its tasks was learned.

    >>> a = np.array([[0.9, np.nan, np.nan], [0.7, 0.8, np.nan], [0.5, 0.9, 0.7]])
    >>> round(average_incremental_accuracy(a), 3)  # (0.9 + 0.75 + 0.7) / 3
    0.783
    """
    wanted = pick(a_TT, columns)
    steps = [(k, [j for j in wanted if j <= k]) for k in range(len(a_TT))]
    return mean([mean([a_TT[k, j] for j in seen]) for k, seen in steps if seen])


def sampled_incremental_accuracy(a_TT: Array, columns: Columns = None) -> float:
    """Return the estimate of :func:`average_incremental_accuracy` from samples of earlier tasks.

    The mean over the tasks learned so far is (a[k][k] + k m) / (k + 1), where m, the mean over the
    k earlier ones, is estimated without bias by the mean over a random sample of them. The outer
    mean is over the steps with a sample, and the first and the last one.

    >>> a = np.array([[0.9, np.nan, np.nan], [np.nan, 0.8, np.nan], [0.5, np.nan, 0.7]])
    >>> round(sampled_incremental_accuracy(a), 3)  # (0.9 + (0.7 + 2 * 0.5) / 3) / 2
    0.733
    """
    wanted = np.zeros(len(a_TT), dtype=bool)
    wanted[pick(a_TT, columns)] = True
    found = []
    for k in range(len(a_TT)):
        earlier = a_TT[k, :k][wanted[:k]]
        known = earlier[~np.isnan(earlier)]
        if len(earlier) and not len(known):
            continue
        total = len(earlier) * known.mean() if len(known) else 0.0
        own = a_TT[k, k] if wanted[k] else 0.0
        if count := len(earlier) + int(wanted[k]):
            found.append(float(total + own) / count)
    return mean(found)


def forgetting(a_TT: Array, columns: Columns = None) -> float:
    """Return mean_{j<T} ( max_{j<=k<T} a[k][j] - a[T][j] ).

    Chaudhry et al. 2018, eq. 3 and 4 (arxiv.org/abs/1801.10112). Negative if the final
    accuracies are higher than all before; never below minus the backward transfer. The maximum is
    over the evaluations made, which must include those right after the task and at the end.
    Undefined for one task, for a group of only the last task, and for a method that is trained
    once at the end (joint).

    >>> a = np.array([[0.9, np.nan, np.nan], [0.7, 0.8, np.nan], [0.5, 0.9, 0.7]])
    >>> round(forgetting(a), 3)  # ((0.9 - 0.5) + (0.8 - 0.9)) / 2
    0.15
    >>> forgetting(a, columns=[2])
    nan
    """
    last = len(a_TT) - 1
    terms = []
    for j in pick(a_TT, columns):
        if j < last:
            known = not np.isnan(a_TT[j, j])
            best = np.nanmax(a_TT[j:last, j]) if known else np.nan
            terms.append(best - a_TT[last, j])
    return mean(terms)


def backward_transfer(a_TT: Array, columns: Columns = None) -> float:
    """Return mean_{j<T} ( a[T][j] - a[j][j] ).

    Lopez-Paz & Ranzato 2017, eq. 3 (arxiv.org/abs/1706.08840). Undefined for one task and for a
    group of only the last task.

    >>> a = np.array([[0.9, np.nan, np.nan], [0.7, 0.8, np.nan], [0.5, 0.9, 0.7]])
    >>> round(backward_transfer(a), 3)  # ((0.5 - 0.9) + (0.9 - 0.8)) / 2
    -0.15
    """
    last = len(a_TT) - 1
    return mean([a_TT[last, j] - a_TT[j, j] for j in pick(a_TT, columns) if j < last])
