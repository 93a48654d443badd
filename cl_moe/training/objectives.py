"""The objectives of the tasks of an Avalanche data set."""

from __future__ import annotations

from typing import Any

from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.training.tensors import numbers_of

__all__ = ("objectives_by_task",)


def objectives_by_task(dataset: Any) -> dict[int, Objective]:
    """Return, for each task label in an Avalanche data set, its objective.

    Without an objective in the data set (:func:`cl_moe.streams.benchmark.to_benchmark`), it is
    classification, with the largest label plus 1 as the number of classes.
    """
    targets, tasks = numbers_of(dataset.targets), numbers_of(dataset.targets_task_labels)
    said = getattr(dataset, "objectives", None)
    found: dict[int, Objective] = {}
    for task in tasks.unique():
        rows = tasks == task
        if said is None:
            found[int(task)] = Classification(int(targets[rows].max()) + 1)
        else:
            found[int(task)] = said[int(rows.nonzero()[0])]
    return found
