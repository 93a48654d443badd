"""Checks of operators."""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from cl_moe.streams.operators.base import Operator
from cl_moe.streams.task import Task
from cl_moe.testing import common
from cl_moe.testing.base import (
    Check,
    NotApplicable,
    Subject,
    require,
    require_equal,
    require_refusal,
)
from cl_moe.testing.source import state_round_trips

__all__ = ("CHECKS",)


def images(rows: int = 12) -> Task:
    """Return a task of three classes of images (1, 4, 4), values in 0..1."""
    x = torch.rand(rows, 1, 4, 4, generator=torch.Generator().manual_seed(0))
    y = torch.arange(rows) % 3
    return Task("t", (x, y), (x[:6], y[:6]), "abc", group="rich")


def vectors() -> Task:
    """Return a task of three classes of vectors (6,)."""
    x = torch.randn(12, 6, generator=torch.Generator().manual_seed(0))
    return Task("t", (x, torch.arange(12) % 3), (x, torch.arange(12) % 3), "abc")


def rated(task: Task) -> Task:
    """Return a task of regression on the same inputs."""
    x = task.tensors("train")[0]
    y = x.flatten(1)[:, :1].clone()
    return Task("t", (x, y), (x, y), objective="regression")


def tokens() -> Task:
    """Return a task of three classes of token ids."""
    x = torch.arange(48).view(12, 4)
    return Task("t", (x, torch.arange(12) % 3), (x, torch.arange(12) % 3), "abc")


def task_for(subject: Subject) -> tuple[Operator, Task]:
    """Return an operator, and a task that it takes."""
    operator: Operator = subject.make()
    for task, what in ((images(), "images"), (vectors(), "vectors")):
        why = require_refusal(partial(operator, task), f"a task of {what}")
        if not why:
            return operator, task
    raise AssertionError(f"it takes neither a task of images nor one of vectors: {why}")


def tensors(task: Task) -> list[Tensor]:
    """Return inputs and labels of training and test data."""
    return [tensor for split in ("train", "test") for tensor in task.tensors(split)]


def require_task(made: object) -> Task:
    """Require a task whose inputs are finite and whose labels are those of its classes."""
    require(isinstance(made, Task), f"it gives {type(made).__name__}; give a Task")
    assert isinstance(made, Task)
    for split in ("train", "test"):
        x, y = made.tensors(split)
        finite = bool(torch.isfinite(x).all())
        require(finite, f"{split} inputs are not finite")
        require(len(x) == len(y) > 0, f"{len(x)} {split} inputs and {len(y)} labels")
    if made.objective.name == "classification":
        found = set(made.labels("train").tolist())
        right = found == set(range(made.n_classes))
        require(right, f"training labels are {sorted(found)} of {made.n_classes} classes")
    return made


def the_relation_is_said(subject: Subject) -> None:
    """The task has derived_from, relation and its own name, and the group of the input task."""
    operator, task = task_for(subject)
    made = require_task(operator(task))
    relation = operator.relation
    require(relation, "relation: is empty; describe the relation to the "
            "input task")  # fmt: skip
    require(made.derived_from == task.name, f"derived_from is {made.derived_from!r}")
    require(made.relation == relation, f"the task's relation is {made.relation!r}")
    require(made.name != task.name, "the task has the name of the input task")
    require(made.group == task.group, f"the task's group is {made.group!r}")


def inputs_untouched(subject: Subject) -> None:
    """The input task and torch's random state are unchanged."""
    operator, task = task_for(subject)
    before, random = [tensor.clone() for tensor in tensors(task)], torch.get_rng_state()
    operator(task, 3)
    for one, other in zip(before, tensors(task), strict=True):
        require_equal(one, other, "its input task is changed; modify a copy")
    require_equal(random, torch.get_rng_state(), "it draws from torch's global random state; use "
                  "cl_moe.seeding.generator(seed, ...)")  # fmt: skip


def same_seed_same_result(subject: Subject) -> None:
    """The same seed gives the same task."""
    operator, task = task_for(subject)
    first = tensors(operator(task, 3))
    torch.rand(3)
    for one, other in zip(first, tensors(operator(task, 3)), strict=True):
        require_equal(one, other, "the same seed gives another task the second time; draw from "
                      "cl_moe.seeding.generator(seed, ...)")  # fmt: skip


def finite(subject: Subject) -> None:
    """Constant inputs stay finite."""
    operator, task = task_for(subject)
    x, y = task.tensors("train")
    flat = torch.full_like(x, 0.5)
    require_task(operator(Task("t", (flat, y), (flat, y), task.classes)))


def one_row(subject: Subject) -> None:
    """A task with one row per class is transformed."""
    operator, task = task_for(subject)
    x, y = (tensor[:3] for tensor in task.tensors("train"))
    require_task(operator(Task("t", (x, y), (x, y), task.classes)))


def _works_or_refuses(subject: Subject, task: Task, what: str) -> None:
    operator, found = subject.make(), []
    if why := require_refusal(lambda: found.append(operator(task)), f"a task of {what}"):
        raise NotApplicable(f"it refuses {what}: {why}")
    made = require_task(found[0])
    same = made.objective.name == task.objective.name
    require(same, f"a task of {what} becomes one of {made.objective.name}")


def tasks_of_vectors(subject: Subject) -> None:
    """A task of vectors is transformed, or a ValueError says why not."""
    _works_or_refuses(subject, vectors(), "vectors")


def tasks_without_classes(subject: Subject) -> None:
    """A task of regression is transformed and stays one, or a ValueError says why not."""
    _works_or_refuses(subject, rated(task_for(subject)[1]), "regression")


def tasks_of_token_ids(subject: Subject) -> None:
    """A task of token ids is transformed, or a ValueError says why not."""
    _works_or_refuses(subject, tokens(), "token ids")


CHECKS: tuple[Check, ...] = (
    *(common.constructs, common.docstring, common.example, common.defaults, common.readable),
    *(state_round_trips, the_relation_is_said, inputs_untouched, same_seed_same_result, finite),
    *(one_row, tasks_of_vectors, tasks_without_classes, tasks_of_token_ids),
)
