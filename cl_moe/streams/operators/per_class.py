"""Subsampling of examples."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

from cl_moe.errors import InputError
from cl_moe.seeding import generator
from cl_moe.streams.datasets import draw_per_class, take
from cl_moe.streams.operators.base import Operator
from cl_moe.streams.task import Task

__all__ = ("PerClass",)


@dataclass(frozen=True)
class PerClass(Operator):
    """At most n training examples of each class; the test set stays whole unless a size is given.

    For one seed, a smaller sample is a subset of a larger one. For a task without classes
    (regression, multi-label) it is at most n examples in total.

    Args:
        n: training examples per class.
        test: test examples per class.

    >>> import torch
    >>> task = Task(
    ...     "toy",
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     ("a", "b"),
    ... )
    >>> PerClass(1)(task).n_train
    2
    """

    relation: ClassVar[str] = "low resource"

    n: int
    test: int | None = None

    def __post_init__(self) -> None:
        problems = [
            f"{key}: {size} is too small; give 1 or more"
            for key, size in (("n", self.n), ("test", self.test))
            if size is not None and size < 1
        ]
        if problems:
            raise InputError(problems)

    def __call__(self, task: Task, seed: int = 0) -> Task:
        """Return the task with few examples, drawn for ``seed``."""
        train = draw_per_class(task.strata("train"), self.n, generator(seed, "train"))
        test = draw_per_class(task.strata("test"), self.test, generator(seed, "test"))
        return replace(
            task,
            name=f"{task.name}-{self.n}-a-class",
            train=take(task.train, train),
            test=take(task.test, test),
            derived_from=task.name,
            relation=self.relation,
        )
