"""Subsets of classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import torch

from cl_moe.errors import InputError, did_you_mean
from cl_moe.seeding import generator
from cl_moe.streams.datasets import relabelled, take
from cl_moe.streams.operators.base import Operator, class_problem
from cl_moe.streams.task import Task

__all__ = ("Subset",)


@dataclass(frozen=True)
class Subset(Operator):
    """Some of a task's classes, labelled 0, 1, ... in the order given.

    Args:
        classes: their names or positions, or how many are drawn at random.

    >>> import torch
    >>> task = Task(
    ...     "toy",
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     ("a", "b"),
    ... )
    >>> Subset(classes=("b", "a"))(task).tensors("train")[1]
    tensor([1, 0, 1, 0])
    """

    relation: ClassVar[str] = "some classes"

    classes: tuple[int | str, ...] | int

    def __post_init__(self) -> None:
        size = self.classes if isinstance(self.classes, int) else len(set(self.classes))
        if size < 2 or (not isinstance(self.classes, int) and size < len(self.classes)):
            raise InputError(f"classes: {self.classes}; give two or more, each once")

    def __call__(self, task: Task, seed: int = 0) -> Task:
        """Return the task with only these classes."""
        class_problem(task, "a subset")
        chosen = choose_classes(self.classes, task.classes, f"task '{task.name}'", seed)
        mapping = {old: new for new, old in enumerate(chosen)}
        splits = []
        for data, y in ((task.train, task.labels("train")), (task.test, task.labels("test"))):
            rows = torch.isin(y, torch.tensor(chosen)).nonzero().flatten()
            splits.append(relabelled(take(data, rows), mapping))
        return Task(
            f"{task.name}-subset",
            splits[0],
            splits[1],
            [task.classes[k] for k in chosen],
            task.group,
            derived_from=task.name,
            relation=self.relation,
        )


def choose_classes(
    wanted: Sequence[int | str] | int | None, known: Sequence[str], place: str, seed: int
) -> list[int]:
    """Return the positions of classes given by name or position, or of a random draw.

    Raises:
        InputError: with every class that is not known.

    >>> choose_classes(["b", 0], ["a", "b"], "task 'toy'", seed=0)
    [1, 0]
    """
    if wanted is None:
        return list(range(len(known)))
    if isinstance(wanted, int):
        if wanted > len(known):
            raise InputError(f"{place}: {wanted} classes of {len(known)}; give fewer")
        order = torch.randperm(len(known), generator=generator(seed, "classes"))
        return sorted(order[:wanted].tolist())
    problems, chosen = [], []
    for item in wanted:
        if isinstance(item, int) and 0 <= item < len(known):
            chosen.append(item)
        elif isinstance(item, str) and item in known:
            chosen.append(list(known).index(item))
        elif isinstance(item, int):
            problems.append(f"{place}: no class {item}; positions are 0 to {len(known) - 1}")
        else:
            problems.append(f"{place}: no class '{item}'; {did_you_mean(item, known)}")
    if len(set(chosen)) < len(chosen):
        problems.append(f"{place}: classes {list(wanted)} contain a class twice")
    if problems:
        raise InputError(problems)
    return chosen
