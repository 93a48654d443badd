"""What earlier tasks give to later ones, as functions of one run's accuracy matrix.

``alone[j]`` is the test accuracy of a model trained on task j only, ``joint[j]`` of one trained on
all tasks at once; both of the same seed, NaN where there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import pandas as pd

from cl_moe.analysis.data import Array, StudyData, accuracy_matrix
from cl_moe.analysis.metrics.accuracy import Columns, mean, pick

__all__ = (
    "forward_transfer",
    "intransigence",
    "last_task_transfer",
    "learning_transfer",
    "pair_gains",
    "transfer_matrix",
)


def forward_transfer(a_TT: Array, initial_T: Array, columns: Columns = None) -> float:
    """Return mean_{j>1} ( a[j-1][j] - b[j] ): zero-shot, before task j is learned.

    Lopez-Paz & Ranzato 2017, eq. 4 (arxiv.org/abs/1706.08840); b[j] is the accuracy at
    initialisation. Undefined where a task has no head before it is learned: never 0.

    >>> a = np.array([[0.9, 0.4, 0.3], [0.7, 0.8, 0.5], [0.5, 0.9, 0.7]])
    >>> round(forward_transfer(a, np.array([0.1, 0.1, 0.2])), 3)  # ((0.4-0.1) + (0.5-0.2)) / 2
    0.3
    >>> forward_transfer(a, np.full(3, np.nan))
    nan
    """
    return mean([a_TT[j - 1, j] - initial_T[j] for j in pick(a_TT, columns) if j > 0])


def learning_transfer(a_TT: Array, alone_T: Array, columns: Columns = None) -> float:
    """Return mean_j ( a[j][j] - alone[j] ): what a task gains by coming after others.

    Veniat et al. 2021, eq. 3 (arxiv.org/abs/2012.12631), averaged over tasks.

    >>> a = np.array([[0.9, np.nan], [0.7, 0.8]])
    >>> round(learning_transfer(a, np.array([0.9, 0.6])), 3)  # (0.0 + 0.2) / 2
    0.1
    """
    return mean([a_TT[j, j] - alone_T[j] for j in pick(a_TT, columns)])


def last_task_transfer(a_TT: Array, alone_T: Array) -> float:
    """Return a[T][T] - alone[T], for a stream whose last task is the one asked about.

    Veniat et al. 2021, eq. 3 (arxiv.org/abs/2012.12631). Undefined for one task.

    >>> a = np.array([[0.9, np.nan], [0.7, 0.8]])
    >>> round(last_task_transfer(a, np.array([0.9, 0.6])), 3)
    0.2
    """
    return float(a_TT[-1, -1] - alone_T[-1]) if len(a_TT) > 1 else float("nan")


def intransigence(a_TT: Array, joint_T: Array, columns: Columns = None) -> float:
    """Return mean_j ( joint[j] - a[j][j] ): what cannot be learned any more; lower is better.

    Chaudhry et al. 2018, eq. 6 (arxiv.org/abs/1801.10112), averaged over tasks, with one joint
    model trained at the end of the stream as the reference.

    >>> a = np.array([[0.9, np.nan], [0.7, 0.8]])
    >>> round(intransigence(a, np.array([0.9, 0.9])), 3)  # (0.0 + 0.1) / 2
    0.05
    """
    return mean([joint_T[j] - a_TT[j, j] for j in pick(a_TT, columns)])


def transfer_matrix(
    pairs: Mapping[tuple[str, str], float],
    alone: Mapping[str, float],
    tasks: Sequence[str] | None = None,
) -> pd.DataFrame:
    """Return the gain on task j (column) when it is learned after task i (row) alone.

    Args:
        pairs: accuracy on j right after the two-task stream (i, j), by (i, j).
        alone: accuracy on j of a model that saw only j.
        tasks: order of rows and columns; by default that of first appearance.

    Returns:
        Square frame of ``pairs[i, j] - alone[j]``; NaN where the pair or the reference is missing,
        and on the diagonal.

    >>> gains = transfer_matrix({("a", "b"): 0.75, ("b", "a"): 0.5}, {"a": 0.75, "b": 0.5})
    >>> gains.loc["a", "b"], gains.loc["b", "a"], gains.loc["a", "a"]
    (np.float64(0.25), np.float64(-0.25), np.float64(nan))
    """
    names = list(tasks) if tasks is not None else list(dict.fromkeys(n for p in pairs for n in p))
    gains = [
        [np.nan if i == j else pairs.get((i, j), np.nan) - alone.get(j, np.nan) for j in names]
        for i in names
    ]
    return pd.DataFrame(gains, index=pd.Index(names, name="after"), columns=names, dtype=float)


def pair_gains(studies: Iterable[StudyData], method: str) -> pd.DataFrame:
    """Return the transfer matrix of one method, each entry from a study of a two-task stream.

    Every study whose stream has exactly two tasks (i, j) and that has a method of type ``alone``
    gives the entry (i, j): a[2][j] - alone[j], a mean over the seeds that both have. Others are
    passed over. A longer stream cannot give it: there a task comes after several at once.
    """
    pairs: dict[tuple[str, str], float] = {}
    alone: dict[str, float] = {}
    names: dict[str, None] = {}
    for study in studies:
        reference, tasks = study.of_type("alone"), study.stream_tasks
        if reference is None or len(tasks) != 2:
            continue
        gains = [
            accuracy_matrix(study.rows, method, seed, tasks)[1, 1]
            - accuracy_matrix(study.rows, reference, seed, tasks)[1, 1]
            for seed in study.seeds
        ]
        kept = [gain for gain in gains if not np.isnan(gain)]
        # Paired by seed and within its study, so the gain itself is stored against a zero.
        pairs[tasks[0], tasks[1]] = mean(kept)
        alone[tasks[1]] = 0.0
        names.update(dict.fromkeys(tasks))
    return transfer_matrix(pairs, alone, list(names))
