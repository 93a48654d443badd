"""Recurring tasks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cl_moe.streams.operators.base import Operator, remade
from cl_moe.streams.task import Task

__all__ = ("Repeat",)


@dataclass(frozen=True)
class Repeat(Operator):
    """The same task again, later in the stream: a recurring task.

    In a scenario, ``from = "name"`` with this operator draws new examples of the same task.

    >>> import torch
    >>> task = Task(
    ...     "toy",
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     ("a", "b"),
    ... )
    >>> Repeat()(task).name
    'toy-again'
    """

    relation: ClassVar[str] = "recurring"

    def __call__(self, task: Task, seed: int = 0) -> Task:
        """Return the task under another name."""
        return remade(
            task, name=f"{task.name}-again", derived_from=task.name, relation=self.relation
        )
