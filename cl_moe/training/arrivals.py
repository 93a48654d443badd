"""Tasks that are learned at the same time: their rows, and the tasks a decision may build on."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor

from cl_moe.continual.view import TaskView
from cl_moe.moe.edits import expert_part, head_part
from cl_moe.moe.freezing import FreezableDict
from cl_moe.moe.network import MoENetwork
from cl_moe.objectives.base import Objective
from cl_moe.training.objectives import objectives_by_task
from cl_moe.training.samples import samples

__all__ = ("arriving", "decides_again", "first_rows", "rows_of", "without_learning")


def arriving(strategy: Any) -> dict[int, Objective]:
    """Return the tasks that are about to be learned, with their objectives.

    These are the tasks of the experience, or of all experiences that a strategy for joint training
    joins.
    """
    found: dict[int, Objective] = {}
    for experience in _experiences(strategy):
        for task, objective in objectives_by_task(experience.dataset).items():
            if task not in found or found[task].n_outputs < objective.n_outputs:
                found[task] = objective
    return found


def first_rows(strategy: Any) -> Tensor:
    """Return two training rows of the current experience, on the device."""
    data = strategy.experience.dataset
    rows = torch.stack([data[i][0] for i in range(min(2, len(data)))])
    return rows.to(strategy.device)


def rows_of(strategy: Any, task: int) -> tuple[Tensor, Tensor]:
    """Return the training rows (x, y) of one task that is learned, on the device."""
    parts = [_rows(experience.dataset, task) for experience in _experiences(strategy)]
    own = [part for part in parts if part is not None]
    x, y = own[0] if len(own) == 1 else (torch.cat(column) for column in zip(*own, strict=True))
    return x.to(strategy.device), y.to(strategy.device)


def _experiences(strategy: Any) -> list[Any]:
    together = getattr(strategy, "_experiences", ())  # as Avalanche's JointTraining calls them
    return list(together) or [strategy.experience]


def _rows(data: Any, task: int) -> tuple[Tensor, Tensor] | None:
    if task not in data.targets_task_labels.uniques:
        return None
    x, y, tasks = samples(data)
    own = tasks == task
    return (x, y) if bool(own.all()) else (x[own], y[own])


@contextmanager
def without_learning(network: MoENetwork, parts: Collection[str]) -> Iterator[None]:
    """Hide the tasks whose predictions will change because parts of the network will be trained.

    Inside the context, decisions can build on the other tasks only. The hidden tasks' experts still
    count as used.

    Args:
        network: restored at the end.
        parts: names of the parts to be trained, see :func:`cl_moe.moe.edits.expert_part`.
    """
    learning: set[int] = set()
    for task in network.tasks if parts else ():
        if _learns(network, task, parts) or learning.intersection(network.reads(task)):
            learning.add(task)
    if not learning:
        yield
        return
    heads, first_on = network.heads, network.first_on
    network.heads = FreezableDict(
        {str(t): heads[str(t)] for t in network.tasks if t not in learning}
    )
    network.first_on = {}
    for task in network.tasks:
        if network.owns_path(task):
            network.first_on.setdefault(network.path(task), task)
    try:
        yield
    finally:
        network.heads, network.first_on = heads, first_on


def _learns(network: MoENetwork, task: int, parts: Collection[str]) -> bool:
    """Tell whether a task's head, or an expert of its path, will be trained."""
    if head_part(task) in parts:
        return True
    return network.owns_path(task) and any(
        expert_part(layer.name, id_) in parts
        for layer in network.moe_layers
        for id_ in layer.assigned[task]
    )


def decides_again(view: TaskView, network: MoENetwork) -> bool:
    """Tell whether a recurring task gets a new decision.

    It does where it has more classes than before, its head reads other tasks' paths, so that no
    expert of its own would be lost, and examples of all its classes are present; unless another
    task's head depends on it.
    """
    return (
        view.n_classes > network.n_classes(view.task)
        and not network.owns_path(view.task)
        and len(view.y.unique()) == view.n_classes
        and not any(view.task in network.reads(task) for task in network.tasks if task != view.task)
    )
