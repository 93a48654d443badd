"""Transfer metrics, as functions of one run's accuracy matrix.

``single_task[j]`` is the test accuracy of a model trained on task j only, ``joint[j]`` that of a
model trained on all tasks at once; both with the same seed, NaN where the study has no such run.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from cl_moe.analysis.data import Array, StudyData, by_run
from cl_moe.analysis.frames import PAIR_COLUMNS
from cl_moe.analysis.metrics.accuracy import Columns, mean, pick

__all__ = (
    "forward_transfer",
    "intransigence",
    "last_task_transfer",
    "learning_transfer",
    "pair_gains",
    "single_task_accuracies",
    "transfer_matrix",
)


def forward_transfer(a_TT: Array, initial_T: Array, columns: Columns = None) -> float:
    """Return mean_{j>1} ( a[j-1][j] - b[j] ): zero-shot, before task j is learned.

    Lopez-Paz & Ranzato 2017, eq. 4 (arxiv.org/abs/1706.08840); b[j] is the accuracy at
    initialisation. Undefined, not 0, if a task has no head before it is learned.

    >>> a = np.array([[0.9, 0.4, 0.3], [0.7, 0.8, 0.5], [0.5, 0.9, 0.7]])
    >>> round(forward_transfer(a, np.array([0.1, 0.1, 0.2])), 3)  # ((0.4-0.1) + (0.5-0.2)) / 2
    0.3
    >>> forward_transfer(a, np.full(3, np.nan))
    nan
    """
    return mean([a_TT[j - 1, j] - initial_T[j] for j in pick(a_TT, columns) if j > 0])


def learning_transfer(a_TT: Array, single_task_T: Array, columns: Columns = None) -> float:
    """Return mean_j ( a[j][j] - single_task[j] ): the gain over learning the task alone.

    Veniat et al. 2021, eq. 3 (arxiv.org/abs/2012.12631), averaged over tasks.

    >>> a = np.array([[0.9, np.nan], [0.7, 0.8]])
    >>> round(learning_transfer(a, np.array([0.9, 0.6])), 3)  # (0.0 + 0.2) / 2
    0.1
    """
    return mean([a_TT[j, j] - single_task_T[j] for j in pick(a_TT, columns)])


def last_task_transfer(a_TT: Array, single_task_T: Array) -> float:
    """Return a[T][T] - single_task[T], the learning transfer of the last task.

    Veniat et al. 2021, eq. 3 (arxiv.org/abs/2012.12631). Undefined for one task.

    >>> a = np.array([[0.9, np.nan], [0.7, 0.8]])
    >>> round(last_task_transfer(a, np.array([0.9, 0.6])), 3)
    0.2
    """
    return float(a_TT[-1, -1] - single_task_T[-1]) if len(a_TT) > 1 else float("nan")


def intransigence(a_TT: Array, joint_T: Array, columns: Columns = None) -> float:
    """Return mean_j ( joint[j] - a[j][j] ): the loss of plasticity; lower is better.

    Chaudhry et al. 2018, eq. 6 (arxiv.org/abs/1801.10112), averaged over tasks, with one joint
    model trained at the end of the stream as the reference.

    >>> a = np.array([[0.9, np.nan], [0.7, 0.8]])
    >>> round(intransigence(a, np.array([0.9, 0.9])), 3)  # (0.0 + 0.1) / 2
    0.05
    """
    return mean([joint_T[j] - a_TT[j, j] for j in pick(a_TT, columns)])


def transfer_matrix(pair_TT: Array, single_task_T: Array) -> Array:
    """Return the gain of each task when one other task is learned before it.

    Args:
        pair_TT: ``pair_TT[i, j]`` is the accuracy on task j right after the two-task stream (i, j).
        single_task_T: accuracy on each task of a model that saw only that one.

    Returns:
        float64 of shape [T, T]: ``pair_TT[i, j] - single_task_T[j]``; NaN where one is missing,
        and on the diagonal.

    >>> pair = np.array([[np.nan, 0.75], [0.5, np.nan]])
    >>> transfer_matrix(pair, single_task_T=np.array([0.75, 0.5]))
    array([[  nan,  0.25],
           [-0.25,   nan]])
    """
    gain_TT = pair_TT - single_task_T
    np.fill_diagonal(gain_TT, np.nan)
    return gain_TT


def single_task_accuracies(data: StudyData) -> dict[int, Array]:
    """Return the accuracies, shape [T], of the study's method of type ``single_task``, by seed."""
    found = {}
    for (method, seed), a_TT in data.accuracies().items():
        if method == data.of_type("single_task"):
            # Single-task models do not change, so the last row can replace the diagonal.
            own_T = np.diag(a_TT)
            found[seed] = np.where(np.isnan(own_T), a_TT[-1], own_T)
    return found


def pair_gains(data: StudyData) -> pd.DataFrame:
    """Return every method's transfer matrix, one row per off-diagonal entry.

    Columns: method, seed, after, task, value. The reference is the study's method of type
    ``single_task`` with the same seed; pairs without measurement or reference are NaN.
    """
    tasks, single_task = data.stream_tasks, single_task_accuracies(data)
    unknown_T = np.full(len(tasks), np.nan)
    found = []
    for (method, seed), rows in by_run(data.pairs).items():
        pairs = rows.pivot(index="after", columns="task", values="value")
        pair_TT = pairs.reindex(index=tasks, columns=tasks).to_numpy(dtype=np.float64)
        gain_TT = transfer_matrix(pair_TT, single_task.get(seed, unknown_T))
        found += [
            (method, seed, i, j, float(gain))
            for i, gain_T in zip(tasks, gain_TT, strict=True)
            for j, gain in zip(tasks, gain_T, strict=True)
            if i != j
        ]
    return pd.DataFrame(found, columns=list(PAIR_COLUMNS))
