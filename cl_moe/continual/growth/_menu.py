"""What an average may pool: answers on the raw input, on earlier paths, and earlier answers."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal

from cl_moe.continual.growth._sample import Sample
from cl_moe.continual.growth._takeover import best_matched, matchable
from cl_moe.continual.relatedness.alignment import LENSES
from cl_moe.continual.view import TaskView
from cl_moe.moe.heads import RAW, Block
from cl_moe.moe.lens import Lens
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
    lensed: Sequence[tuple[int, Lens]] = (),
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
        lensed: tasks whose paths are considered through a lens, too.
    """
    which_path = math.log(len(network.tasks))
    found = [Opinion((RAW,))]
    for task, lens in [*((task, None) for task in paths), *lensed]:
        price = which_path + _which(lens)
        parts = [part for part in ("features", "answers") if part in reads]
        found += [Opinion((RAW, Block(task, part, lens)), price) for part in parts]
        stages = network.inner_stages(task) if "stages" in reads else 0
        found += [Opinion((Block(task, stage, lens),), price) for stage in range(stages)]
    if "take over" in reads:
        answers = [Block(task, "log answers") for task in matchable(view, network, paths, borrowed)]
        known = matchable(view, network, [task for task, _ in lensed], borrowed)
        answers += [Block(task, "log answers", lens) for task, lens in lensed if task in known]
        for block in best_matched(answers, sample, view.n_classes, TAKE_OVERS):
            price = which_path + math.lgamma(view.n_classes + 1) + _which(block.lens)
            route = network.route(block.task)
            found.append(Opinion((block,), price, matched=True, route=route))
    return tuple(found)


def _which(lens: Lens | None) -> float:
    """Return what it takes to say which lens is meant, in nats."""
    return 0.0 if lens is None else math.log(LENSES)
