"""Inversion of inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from cl_moe.streams.operators.base import Operator, float_problem, map_inputs
from cl_moe.streams.task import Task

__all__ = ("Invert",)


@dataclass(frozen=True)
class Invert(Operator):
    """Mirrors inputs in their range: x becomes low + high - x (1 - x for images in 0..1).

    Applied twice it gives the original task.

    >>> import torch
    >>> task = Task(
    ...     "toy",
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     ("a", "b"),
    ... )
    >>> Invert()(task).tensors("train")[0][0].flatten().tolist()
    [0.0, 1.0, 1.0, 1.0]
    """

    relation: ClassVar[str] = "inverted input"

    def __call__(self, task: Task, seed: int = 0) -> Task:
        """Return the task with inverted inputs; the range is that of the training inputs."""
        float_problem(task, "inverted")
        x = task.tensors("train")[0]
        low, high = x.min(), x.max()
        if low >= 0 and high <= 1:
            low, high = low.new_tensor(0.0), high.new_tensor(1.0)
        return map_inputs(task, self, lambda x, _: low + high - x, "inverted")
