"""Permutation of labels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from cl_moe.errors import InputError
from cl_moe.seeding import generator
from cl_moe.streams.operators.base import Operator, class_problem, map_labels
from cl_moe.streams.task import Task

__all__ = ("PermuteLabels",)


@dataclass(frozen=True)
class PermuteLabels(Operator):
    """Permutes labels and keeps inputs: features can be reused, the head cannot.

    Args:
        shift: y becomes (y + shift) mod classes (1 in the CTrL stream S_out, Veniat et al. 2021);
            a random permutation that moves at least one label, where left out.

    >>> import torch
    >>> task = Task(
    ...     "toy",
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     ("a", "b"),
    ... )
    >>> PermuteLabels(shift=1)(task).tensors("train")[1]
    tensor([1, 0, 1, 0])
    """

    relation: ClassVar[str] = "permuted labels"

    shift: int | None = None

    def __post_init__(self) -> None:
        if self.shift == 0:
            raise InputError("shift: 0 changes nothing; give another number or remove the operator")

    def permutation(self, classes: int, seed: int) -> Tensor:
        """Return the new label of each old one (classes,)."""
        if self.shift is not None:
            return (torch.arange(classes) + self.shift % classes) % classes
        draw = generator(seed, "permute_labels")
        while True:
            order = torch.randperm(classes, generator=draw)
            if not torch.equal(order, torch.arange(classes)):
                return order

    def __call__(self, task: Task, seed: int = 0) -> Task:
        """Return the task with labels permuted, its classes' names with them."""
        class_problem(task, "a permutation")
        if self.shift is not None and self.shift % task.n_classes == 0:
            raise InputError(
                f"task '{task.name}': shift {self.shift} does not change {task.n_classes} "
                "classes; give a number that is not a multiple of it"
            )
        new = self.permutation(task.n_classes, seed)
        names = [task.classes[int(old)] for old in new.argsort()]
        return map_labels(task, self, lambda y: new[y], names, "permuted-labels")
