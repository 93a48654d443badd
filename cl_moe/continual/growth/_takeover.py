"""Which earlier tasks' answers might serve a new task as they are, but for the names of classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from cl_moe.continual.growth._menu import matchable
from cl_moe.continual.growth._plan import Plan, Start
from cl_moe.continual.view import TaskView
from cl_moe.moe.heads import Block
from cl_moe.moe.matching import matching_evidence
from cl_moe.moe.network import MoENetwork

__all__ = ("take_over_plans",)


@torch.no_grad()
def take_over_plans(
    view: TaskView,
    network: MoENetwork,
    gains: Mapping[int, float],
    borrowed: Collection[int],
    rows: Tensor,
    limit: int,
) -> list[Plan]:
    """Return the most promising take-overs, best first.

    In the running are the tasks on the paths in ``gains``, and those answered by an average; each
    is judged by its calibrated loss on rows that its classes were not matched on: of dozens of
    tasks some always match a handful of labels by chance.

    Args:
        view: the new task.
        network: the network.
        gains: gain of the paths worth trying, by the task that stands for each.
        borrowed: tasks whose head was itself taken over: they would give the same answers again.
        rows: rows of the new task to judge on.
        limit: plans to return at most.
    """
    paths = {network.path(task): gain for task, gain in gains.items()}
    x, y = view.x[rows], view.y[rows]
    found = []
    for task in matchable(view, network, list(gains), borrowed):
        own = network.owns_path(task)
        starts: tuple[Start, ...] = tuple("keep" for _ in network.layers if own)
        gain = paths[network.path(task)] if own else None
        block = Block(task, "log answers")
        log_probs = network.blocks(x, [block])[block]
        loss = matching_evidence(log_probs, y, view.n_classes)[1]
        found.append((loss, Plan("take over", starts, "match", task, gain, train=False)))
    found.sort(key=lambda pair: pair[0])
    return [plan for _, plan in found[:limit]]
