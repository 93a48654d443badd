"""The interface of operators on tasks, and their composition."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import ClassVar

from torch import Tensor
from torch.utils.data import TensorDataset

from cl_moe import catalog
from cl_moe.errors import InputError
from cl_moe.objectives.classification import Classification
from cl_moe.seeding import derive
from cl_moe.streams.spec import OperatorSpec
from cl_moe.streams.task import Task

__all__ = (
    "Operator",
    "chain",
    "class_problem",
    "float_problem",
    "image_problem",
    "make_operator",
    "map_inputs",
    "map_labels",
    "remade",
)


class Operator(ABC):
    """A change of a task that makes a related one. An operator is a frozen dataclass.

    ``relation``: the relation of the new task to the old one, in words. The examples are converted
    to tensors; a lazy data set's transforms are applied once.
    """

    relation: ClassVar[str]

    @abstractmethod
    def __call__(self, task: Task, seed: int = 0) -> Task:
        """Return the changed task, with ``derived_from`` and ``relation`` set.

        Random draws depend on ``seed`` only.

        Raises:
            InputError: the operator does not apply to the task (for example, vectors cannot be
                rotated).
        """


def make_operator(spec: OperatorSpec, place: str) -> Operator:
    """Return the operator that a scenario's table describes.

    Raises:
        InputError: no such operator, or unknown, missing or wrong parameters; all at once.

    >>> make_operator(OperatorSpec(operator="rotate", parameters={"degrees": 90}), "operators[0]")
    Rotate(degrees=90)
    """
    operator: Operator = catalog.make("operator", Operator, spec.operator, spec.parameters, place)
    return operator


def chain(
    task: Task, operators: Iterable[Operator], seed: int = 0, name: str | None = None
) -> Task:
    """Return the task after all operators, derived from ``task`` by all their relations.

    >>> import torch
    >>> from cl_moe.streams.operators.invert import Invert
    >>> task = Task("toy", (torch.eye(2), [0, 1]), (torch.eye(2), [0, 1]), ("a", "b"))
    >>> chain(task, [Invert(), Invert()], name="again").relation
    'inverted input'
    """
    relations: list[str] = []
    made = task
    for position, operator in enumerate(operators):
        made = operator(made, derive(seed, "operator", position))
        if operator.relation not in relations:
            relations.append(operator.relation)
    return remade(
        made,
        name=name or made.name,
        derived_from=task.name,
        relation=", ".join(relations) or task.relation,
    )


def remade(
    task: Task,
    *,
    name: str,
    derived_from: str | None,
    relation: str | None,
    group: str | None = None,
) -> Task:
    """Return the same data with another name and relation; the group is kept unless given."""
    return replace(
        task, name=name, group=group or task.group, derived_from=derived_from, relation=relation
    )


def map_inputs(
    task: Task, operator: Operator, change: Callable[[Tensor, str], Tensor], word: str
) -> Task:
    """Return the task with inputs x_N... changed; ``change`` also gets ``train`` or ``test``."""
    splits = []
    for split in ("train", "test"):
        x, y = task.tensors(split)
        splits.append(TensorDataset(change(x, split), y))
    return Task(
        f"{task.name}-{word}",
        splits[0],
        splits[1],
        task.classes,
        task.group,
        derived_from=task.name,
        relation=operator.relation,
        objective=task.objective,
    )


def map_labels(
    task: Task,
    operator: Operator,
    change: Callable[[Tensor], Tensor],
    classes: Iterable[str],
    word: str,
) -> Task:
    """Return the task with labels y_N changed, and the names of its classes.

    Raises:
        InputError: the task has no classes.
    """
    class_problem(task, "others")
    (x, y), (test_x, test_y) = task.tensors("train"), task.tensors("test")
    return Task(
        f"{task.name}-{word}",
        TensorDataset(x, change(y)),
        TensorDataset(test_x, change(test_y)),
        tuple(classes),
        task.group,
        derived_from=task.name,
        relation=operator.relation,
    )


def class_problem(task: Task, word: str) -> None:
    """Raise an InputError unless the task has classes; ``word`` is what is made of them."""
    if not isinstance(task.objective, Classification):
        raise InputError(
            f"task '{task.name}': is {task.objective.name}, which has no classes to make {word} "
            "of; take the operator out, or give a task of classification"
        )


def image_problem(task: Task, word: str) -> None:
    """Raise an InputError unless the task's inputs are images (C, H, W)."""
    float_problem(task, word)
    if len(task.shape) != 3:
        raise InputError(
            f"task '{task.name}': inputs of shape {task.shape} cannot be {word}; "
            "give images (channels, height, width)"
        )


def float_problem(task: Task, word: str) -> None:
    """Raise an InputError where the task's inputs are token ids."""
    if not task.dtype.is_floating_point:
        raise InputError(
            f"task '{task.name}': token ids (whole numbers) cannot be {word}; remove the "
            "operator, or give floats"
        )
