"""Tasks whose test data are held-out training data."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from cl_moe.errors import InputError
from cl_moe.seeding import generator
from cl_moe.streams.datasets import split_stratified, take
from cl_moe.streams.task import Task

__all__ = ("validation_split",)


def validation_split(tasks: Sequence[Task], fraction: float, seed: int) -> list[Task]:
    """Return tasks with training sets split in two: ``test`` is held-out training data.

    The split is stratified by class; see :func:`cl_moe.streams.datasets.split_stratified`. For a
    task without classes it is a random split.

    Raises:
        InputError: ``fraction`` is not between 0 and 1, or a task has one sample a class.

    >>> import torch
    >>> data = (torch.eye(4), [0.5, 1.0, 1.5, 2.0])
    >>> validation_split([Task("rated", data, data, objective="regression")], 0.5, seed=0)[0].n_test
    2
    """
    if not 0 < fraction < 1:
        raise InputError(f"validation fraction: {fraction} is not between 0 and 1")
    problems, made = [], []
    for task in tasks:
        strata = task.strata("train")
        keep, hold = split_stratified(strata, fraction, generator(seed, "validation", task.name))
        if len(hold) == 0:
            problems.append(
                f"task '{task.name}': one sample per class, so that none can be held out; give two"
            )
            continue
        made.append(replace(task, train=take(task.train, keep), test=take(task.train, hold)))
    if problems:
        raise InputError(problems)
    return made
