"""What an average may pool: answers on the raw input, on earlier paths, and earlier answers."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal

import torch

from cl_moe.continual.view import TaskView
from cl_moe.moe.heads import RAW, Block
from cl_moe.moe.matching import matching_evidence
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.opinions import Opinion, evidence_rows

__all__ = ("Reading", "matchable", "menu")

TAKE_OVERS = 4
"""Earlier tasks whose answers are pooled with their classes matched, at most."""


Reading = Literal["features", "answers", "stages", "take over"]
"""What an average reads of an earlier path: its features, its answers, its inner stages, or its
answers as they are, with classes matched."""


def menu(
    view: TaskView,
    network: MoENetwork,
    paths: Sequence[int],
    borrowed: Collection[int],
    reads: Collection[Reading],
) -> tuple[Opinion, ...]:
    """Return the answers to pool: ridge regressions, and the best take-overs.

    A path is read in its features and in its answers, each beside the raw input, and in each of its
    inner stages: what a stage sees is closer to the input, and may serve where the rest does not.

    Args:
        view: the new task.
        network: the network.
        paths: the tasks whose paths are considered.
        borrowed: tasks whose head was itself taken over: they would give the same answers again.
        reads: what of a path may be read.
    """
    price = math.log(len(network.tasks))
    found = [Opinion((RAW,))]
    for task in paths:
        parts = [part for part in ("features", "answers") if part in reads]
        found += [Opinion((RAW, Block(task, part)), price) for part in parts]
        stages = network.inner_stages(task) if "stages" in reads else 0
        found += [Opinion((Block(task, stage),), price) for stage in range(stages)]
    price += math.lgamma(view.n_classes + 1)
    matched = _matched(view, network, paths, borrowed) if "take over" in reads else []
    return (*found, *(Opinion((block,), price, matched=True) for block in matched))


@torch.no_grad()
def _matched(
    view: TaskView, network: MoENetwork, paths: Sequence[int], borrowed: Collection[int]
) -> list[Block]:
    """Return the log-answers that match the new labels best on rows not matched on."""
    rows = evidence_rows(len(view.y))
    x, y = view.x[rows], view.y[rows]
    losses: dict[Block, float] = {}
    for task in matchable(view, network, paths, borrowed):
        block = Block(task, "log answers")
        log_probs = network.blocks(x, [block])[block]
        losses[block] = matching_evidence(log_probs, y, view.n_classes)[1]
    return sorted(losses, key=lambda block: losses[block])[:TAKE_OVERS]


def matchable(
    view: TaskView, network: MoENetwork, paths: Sequence[int], borrowed: Collection[int]
) -> list[int]:
    """Return the tasks whose answers might be taken over: on a path in question, or pooled."""
    known = {network.path(task) for task in paths}
    return [
        task
        for task in network.tasks
        if task not in borrowed
        and (not network.owns_path(task) or network.path(task) in known)
        and network.n_classes(task) >= view.n_classes
    ]
