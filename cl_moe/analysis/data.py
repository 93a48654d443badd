"""A study, complete or not, as data frames: the input of metrics and figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from cl_moe.analysis.checks import bad_names, bad_values, missing_columns
from cl_moe.analysis.frames import Frames
from cl_moe.analysis.scores import score_label, score_rows
from cl_moe.errors import InputError

__all__ = ("Array", "StudyData", "accuracy_matrix", "by_run", "initial_accuracy", "learning_curves")

Array = npt.NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class StudyData(Frames):
    """The results of a study; metrics, statistics and figures are pure functions of it.

    The frames must not be changed in place (``dataclasses.replace`` makes another study).

    Args:
        rows: method, seed, after_task (position of the task learned last; -1 before the first;
            T, the number of stream tasks, for probes), task (name), metric, value and epoch
            (empty except for learning curves). Accuracies are in 0..1. A task without a head has
            no row: undefined, never 0. Tasks other than classification have another score
            instead: r2 (at most 1, below 0 if worse than the mean) or f1 (0..1).
        tasks: position, task, group, derived_from, relation, n_train, n_test, n_classes, probe;
            one row per task, probes after the stream; objective, if not classification.
        methods: method (label), type (its kind; ``single_task`` and ``joint`` are the references).
        events: one dict per decision, with at least method, seed, task (position), name, kind and
            sentence.
        timings: method, seed, after_task, and seconds in columns that end in ``_seconds``;
            peak_memory in MiB if known.
        baseline: the method that differences refer to, or None.
        name: the study's name.
        pairs: method, seed, after, task, value: test accuracy (score) on a task right after it was
            learned by a method that had learned only one other task before, ``after``.
            The transfer matrix is computed from these; methods may have pairs and no rows.
        sources: the data that each source of the scenario used, by its name.
        tuned: for methods whose parameters were chosen: parameter -> (value, its grid).
        sampled: whether only a random sample of the earlier tasks was evaluated between tasks.
        metrics: further metrics that are computed, ``package.module:object``.
        figures: further figures that are drawn, ``package.module:object``.

    Raises:
        InputError: columns are missing, names do not match, values are out of range or
            duplicate: all problems.

    >>> from cl_moe.analysis.frames import ROW_COLUMNS, TASK_COLUMNS
    >>> row = ("dense", 0, 0, "mnist", "accuracy", 0.9)
    >>> rows = pd.DataFrame([row], columns=list(ROW_COLUMNS))
    >>> task = (0, "mnist", None, None, None, 10, 10, 2, False)
    >>> tasks = pd.DataFrame([task], columns=list(TASK_COLUMNS))
    >>> data = StudyData(rows, tasks, pd.DataFrame({"method": ["dense"], "type": ["dense"]}))
    >>> data.stream_tasks, data.seeds
    (['mnist'], [0])
    """

    def __post_init__(self) -> None:
        problems = missing_columns(self)
        if problems:
            raise InputError(problems)
        rows = self.rows.reset_index(drop=True)
        if "epoch" not in rows:
            rows = rows.assign(epoch=np.nan)
        tasks = self.tasks.assign(probe=self.tasks["probe"].astype(bool))
        object.__setattr__(self, "rows", rows.assign(epoch=rows["epoch"].astype(float)))
        object.__setattr__(self, "tasks", tasks.sort_values("position", ignore_index=True))
        problems = [*bad_names(self), *bad_values(self)]
        if problems:
            raise InputError(problems)

    @property
    def stream_tasks(self) -> list[str]:
        """Names of the stream's tasks in the order of learning (without probes)."""
        return [str(name) for name in self.tasks.loc[~self.tasks["probe"], "task"]]

    @property
    def probes(self) -> pd.DataFrame:
        """The rows of ``tasks`` that are probes: unseen tasks learned from the final state."""
        return self.tasks[self.tasks["probe"]]

    @property
    def seeds(self) -> list[int]:
        """All seeds that have a row, sorted."""
        return sorted(int(seed) for seed in self.rows["seed"].unique())

    def groups(self, *, probe: bool = False) -> dict[str, list[str]]:
        """Return the tasks of every group, in the order of the stream (or of the probes)."""
        wanted = self.tasks[(self.tasks["probe"] == probe) & self.tasks["group"].notna()]
        return {
            str(group): [str(name) for name in members["task"]]
            for group, members in wanted.groupby("group", sort=False)
        }

    @property
    def score(self) -> str:
        """The label of the score of all tasks: accuracy, R2, F1, or score (with the kinds)."""
        return score_label(self.scores.values())

    def of_type(self, kind: str) -> str | None:
        """Return the name of the study's method of a type (``single_task``, ``joint``).

        If there are several, it is the one with the name of the type, else the first; None if
        there is none.
        """
        found = [str(m) for m in self.methods.loc[self.methods["type"] == kind, "method"]]
        return kind if kind in found else next(iter(found), None)

    def accuracies(self) -> dict[tuple[str, int], Array]:
        """Return every run's accuracy matrix, by (method, seed); see :func:`accuracy_matrix`."""
        tasks = self.stream_tasks
        return {run: _matrix(rows, tasks) for run, rows in by_run(_end_of_task(self.rows)).items()}


def by_run(frame: pd.DataFrame) -> dict[tuple[str, int], pd.DataFrame]:
    """Return the rows of every (method, seed), in order of first appearance.

    >>> frame = pd.DataFrame({"method": ["b", "a", "b"], "seed": [0, 0, 0], "value": [1, 2, 3]})
    >>> {run: list(rows["value"]) for run, rows in by_run(frame).items()}
    {('b', 0): [1, 3], ('a', 0): [2]}
    """
    runs = frame.groupby(["method", "seed"], sort=False)
    return {(str(method), int(str(seed))): rows for (method, seed), rows in runs}


def _end_of_task(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the test accuracies (scores) after whole tasks: no learning curves."""
    return score_rows(rows[rows["epoch"].isna()] if "epoch" in rows else rows)


def _matrix(run: pd.DataFrame, tasks: Sequence[str]) -> Array:
    count = len(tasks)
    table = run[run["after_task"].between(0, count - 1)].pivot(
        index="after_task", columns="task", values="value"
    )
    return table.reindex(index=range(count), columns=list(tasks)).to_numpy(dtype=np.float64)


def accuracy_matrix(rows: pd.DataFrame, method: str, seed: int, tasks: Sequence[str]) -> Array:
    """Return one run's accuracies as a matrix ``a[k][j]``.

    Args:
        rows: a study's rows.
        method: label of the method.
        seed: seed of the run.
        tasks: names of the stream's T tasks in the order they were learned.

    Returns:
        float64 of shape [T, T]: test accuracy in 0..1 (of other objectives the task's score) on
        task j after task k was learned; NaN where there is no row (a task without a head, an
        evaluation that was not made).

    >>> rows = pd.DataFrame(
    ...     [
    ...         ("dense", 0, 0, "a", "accuracy", 0.9),
    ...         ("dense", 0, 1, "a", "accuracy", 0.5),
    ...         ("dense", 0, 1, "b", "accuracy", 0.8),
    ...     ],
    ...     columns=["method", "seed", "after_task", "task", "metric", "value"],
    ... )
    >>> accuracy_matrix(rows, "dense", 0, ["a", "b"])
    array([[0.9, nan],
           [0.5, 0.8]])
    """
    run = rows[(rows["method"] == method) & (rows["seed"] == seed)]
    return _matrix(_end_of_task(run), tasks)


def initial_accuracy(rows: pd.DataFrame, method: str, seed: int, tasks: Sequence[str]) -> Array:
    """Return the accuracies before the first task (rows with after_task = -1).

    Returns:
        float64 of shape [T]; NaN where there is none: a network with one head per task has no
        head before the task is learned.

    >>> rows = pd.DataFrame(
    ...     [("dense", 0, -1, "a", "accuracy", 0.1)],
    ...     columns=["method", "seed", "after_task", "task", "metric", "value"],
    ... )
    >>> initial_accuracy(rows, "dense", 0, ["a", "b"])
    array([0.1, nan])
    """
    run = rows[(rows["method"] == method) & (rows["seed"] == seed) & (rows["after_task"] == -1)]
    values = _end_of_task(run).set_index("task")["value"]
    return values.reindex(list(tasks)).to_numpy(dtype=np.float64)


def learning_curves(
    rows: pd.DataFrame, method: str, seed: int
) -> dict[str, list[tuple[int, float]]]:
    """Return, for each task, its test accuracy while it was learned: [(epoch, accuracy), ...].

    >>> rows = pd.DataFrame(
    ...     [("dense", 0, 0, "a", "accuracy", 0.1, 0), ("dense", 0, 0, "a", "accuracy", 0.7, 1)],
    ...     columns=["method", "seed", "after_task", "task", "metric", "value", "epoch"],
    ... )
    >>> learning_curves(rows, "dense", 0)
    {'a': [(0, 0.1), (1, 0.7)]}
    """
    wanted = (rows["method"] == method) & (rows["seed"] == seed) & rows["epoch"].notna()
    curves = score_rows(rows[wanted]).sort_values("epoch")
    return {
        str(task): [
            (int(epoch), float(value))
            for epoch, value in zip(curve["epoch"], curve["value"], strict=True)
        ]
        for task, curve in curves.groupby("task", sort=False)
    }
