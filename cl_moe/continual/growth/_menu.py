"""What an average may pool: answers on the raw input, on earlier paths, and earlier answers."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal

from cl_moe.continual.growth._sample import Sample
from cl_moe.continual.growth._takeover import best_matched, matchable
from cl_moe.continual.view import TaskView
from cl_moe.moe.heads import RAW, Block
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.opinions import Opinion

__all__ = ("Reading", "menu")

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
    sample: Sample,
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
        sample: what take-overs are judged on.
    """
    price = math.log(len(network.tasks))
    found = [Opinion((RAW,))]
    for task in paths:
        parts = [part for part in ("features", "answers") if part in reads]
        found += [Opinion((RAW, Block(task, part)), price) for part in parts]
        stages = network.inner_stages(task) if "stages" in reads else 0
        found += [Opinion((Block(task, stage),), price) for stage in range(stages)]
    price += math.lgamma(view.n_classes + 1)
    if "take over" in reads:
        tasks = matchable(view, network, paths, borrowed)
        for block in best_matched(tasks, sample, view.n_classes, TAKE_OVERS):
            route = network.route(block.task)
            found.append(Opinion((block,), price, matched=True, route=route))
    return tuple(found)
