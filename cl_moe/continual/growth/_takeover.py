"""Which earlier tasks' answers might serve a new task as they are, but for the names of classes."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import replace

import torch
from torch import Tensor, nn

from cl_moe.continual.growth._plan import Plan, Start
from cl_moe.continual.growth._trial import folds, try_plan
from cl_moe.continual.view import TaskView
from cl_moe.moe.heads import EvidenceHead, FeatureSet
from cl_moe.moe.network import MoENetwork

__all__ = ("take_over_plans",)


@torch.no_grad()
def take_over_plans(
    view: TaskView,
    network: MoENetwork,
    gains: Mapping[int, float],
    borrowed: Collection[int],
    rows: Tensor,
    parts: int,
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
        parts: folds that they are cut into.
        limit: plans to return at most.
    """
    paths = {network.path(task): gain for task, gain in gains.items()}
    part = replace(view, x=view.x[rows], y=view.y[rows])
    split = folds(part, parts, enough=max(100, len(rows) // 5))
    found = []
    for task in network.tasks:
        own = network.owns_path(task)
        if task in borrowed or (own and network.path(task) not in paths):
            continue
        if _classes(network.heads[str(task)]) < view.n_classes:
            continue
        answers = network(part.x, task).softmax(1)
        starts: tuple[Start, ...] = tuple("keep" for _ in network.layers if own)
        gain = paths[network.path(task)] if own else None
        plan = Plan("take over", starts, "match", task, gain, train=False)
        features = {FeatureSet(task, "answers"): answers}
        found.append((try_plan(plan, part, network, split, features, steps=0).loss, plan))
    found.sort(key=lambda pair: pair[0])
    return [plan for _, plan in found[:limit]]


def _classes(head: nn.Module) -> int:
    if isinstance(head, EvidenceHead):
        return head.n_classes
    assert isinstance(head, nn.Linear)
    return head.out_features
