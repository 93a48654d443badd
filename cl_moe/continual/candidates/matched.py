"""Which earlier tasks' answers might serve a new task as they are, but for the names of classes."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence

import torch

from cl_moe.continual.candidates.plan import Plan, Start
from cl_moe.continual.evidence.matching import matching_evidence
from cl_moe.continual.evidence.sample import Sample
from cl_moe.continual.view import TaskView
from cl_moe.moe.blocks import Block
from cl_moe.moe.network import MoENetwork

__all__ = ("best_matched", "matchable", "matched_plans")


def matchable(
    view: TaskView, network: MoENetwork, paths: Sequence[int], matched_tasks: Collection[int]
) -> list[int]:
    """Return the tasks whose answers might be taken over: on a path in question, or pooled.

    Classes are matched: there are none where the new task has no classes, nor an earlier one.
    """
    if not view.classifies():
        return []
    known = {network.path(task) for task in paths}
    return [
        task
        for task in network.tasks
        if task not in matched_tasks
        and view.classifies(task)
        and (not network.owns_path(task) or network.path(task) in known)
        and network.n_classes(task) >= view.n_classes
    ]


@torch.no_grad()
def best_matched(
    answers: Iterable[Block], sample: Sample, n_classes: int, limit: int
) -> dict[Block, float]:
    """Return the log-predictions that match new labels best, and their losses, best first.

    Each is judged by its calibrated loss on rows that its classes were not matched on: of dozens of
    tasks some always match a handful of labels by chance.

    Args:
        answers: log-predictions of earlier tasks.
        sample: what to judge on.
        n_classes: number of new classes.
        limit: how many to return at most.
    """
    log_predictions = sample.reader.blocks(answers)
    losses = {b: matching_evidence(v, sample.y, n_classes)[1] for b, v in log_predictions.items()}
    return {block: losses[block] for block in sorted(losses, key=losses.__getitem__)[:limit]}


def matched_plans(
    view: TaskView,
    network: MoENetwork,
    gains: Mapping[int, float],
    matched_tasks: Collection[int],
    sample: Sample,
    limit: int,
) -> list[Plan]:
    """Return the most promising matched heads, best first.

    In the running are the tasks on the paths in ``gains``, and those answered by an average.

    Args:
        view: the new task.
        network: the network.
        gains: gain of the paths worth trying, by the task that stands for each.
        matched_tasks: tasks whose head was itself taken over: they would give the same answers again.
        sample: what to judge on.
        limit: plans to return at most.
    """
    paths = {network.path(task): gain for task, gain in gains.items()}
    plans = []
    tasks = matchable(view, network, list(gains), matched_tasks)
    answers = (Block(task, "log predictions") for task in tasks)
    for block in best_matched(answers, sample, view.n_classes, limit):
        own = network.owns_path(block.task)
        starts: tuple[Start, ...] = tuple("keep" for _ in network.moe_layers if own)
        gain = paths[network.path(block.task)] if own else None
        plans.append(Plan("matched", starts, "match", block.task, gain, train=False))
    return plans
