"""Which earlier tasks' answers might serve a new task as they are, but for the names of classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import torch
from torch import Tensor, nn

from cl_moe.continual.growth._plan import Plan, Start
from cl_moe.continual.relatedness.matching import match_classes
from cl_moe.continual.view import TaskView
from cl_moe.moe.heads import EvidenceHead
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
    is judged by how often its answers, with classes matched, agree with the labels of ``rows``.

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
    for task in network.tasks:
        own = network.owns_path(task)
        if task in borrowed or (own and network.path(task) not in paths):
            continue
        if _classes(network.heads[str(task)]) < view.n_classes:
            continue
        answers = network(x, task).log_softmax(1)
        matched = answers[:, match_classes(answers, y, view.n_classes)]
        starts: tuple[Start, ...] = tuple("keep" for _ in network.layers if own)
        gain = paths[network.path(task)] if own else None
        plan = Plan("take over", starts, "match", task, gain, train=False)
        found.append((float((matched.argmax(1) == y).double().mean()), plan))
    found.sort(key=lambda pair: -pair[0])
    return [plan for _, plan in found[:limit]]


def _classes(head: nn.Module) -> int:
    if isinstance(head, EvidenceHead):
        return head.n_classes
    assert isinstance(head, nn.Linear)
    return head.out_features
