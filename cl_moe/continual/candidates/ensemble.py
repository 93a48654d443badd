"""What an average may pool: answers on the raw input, on earlier paths, and earlier answers."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from cl_moe.continual.candidates.matched import best_matched, matchable
from cl_moe.continual.evidence.alignment import LENSES
from cl_moe.continual.evidence.ensemble import Opinion
from cl_moe.continual.evidence.matching import single_examples
from cl_moe.continual.evidence.sample import Sample
from cl_moe.continual.view import TaskView
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.symmetry import Lens

__all__ = ("Part", "Reading", "menu")

TAKE_OVERS = 4
"""Earlier tasks whose answers are pooled with their classes matched, at most."""


Part = Literal["features", "answers", "stages", "take over"]
"""What an average reads of an earlier path: its features, its answers, its inner stages, or its
answers as they are, with classes matched."""


class Reading(NamedTuple):
    """What an average may read.

    Attributes:
        paths: the tasks whose paths are considered.
        lensed: tasks whose paths are considered through a lens, too.
        parts: what of a path may be read.
        judged: whether evidence tells how good a regression is.
    """

    paths: Sequence[int]
    lensed: Sequence[tuple[int, Lens]]
    parts: Sequence[Part]
    judged: bool = True


def menu(
    view: TaskView,
    network: MoENetwork,
    reading: Reading,
    borrowed: Collection[int],
    sample: Sample,
) -> tuple[Opinion, ...]:
    """Return the answers to pool: ridge regressions, and the best take-overs.

    A path is read in its features and in its answers, each beside the raw input, and in each of its
    inner stages: what a stage sees is closer to the input, and may serve where the rest does not.
    Where nothing is judged, the raw input by itself is an answer only if there is no other.

    Args:
        view: the new task.
        network: the network.
        reading: what may be read.
        borrowed: tasks whose head was itself taken over: they would give the same answers again.
        sample: what take-overs are judged on.
    """
    paths, lensed, reads, judged = reading
    which_path = math.log(len(network.tasks))
    found: list[Opinion] = []
    for task, lens in [*((task, None) for task in paths), *lensed]:
        price = which_path + _which(lens)
        ends: Sequence[Part] = ("features", "answers")
        blocks: list[tuple[Block, ...]] = [
            (RAW, Block(task, part, lens)) for part in ends if part in reads
        ]
        stages = network.inner_stages(task) if "stages" in reads else 0
        blocks += [(Block(task, stage, lens),) for stage in range(stages)]
        found += [Opinion(pair, price, judged=judged) for pair in blocks]
    if judged or not found:
        found.insert(0, Opinion((RAW,), judged=judged))
    if "take over" in reads:
        answers = [Block(task, "log answers") for task in matchable(view, network, paths, borrowed)]
        known = matchable(view, network, [task for task, _ in lensed], borrowed)
        answers += [Block(task, "log answers", lens) for task, lens in lensed if task in known]
        for block, loss in best_matched(answers, sample, view.n_classes, TAKE_OVERS).items():
            which = which_path + _which(block.lens)
            price = which + math.lgamma(view.n_classes + 1)
            route = network.route(block.task)
            old = network.n_classes(block.task)
            if not single_examples(view.y) or _earned(loss, which, view, old):
                found.append(Opinion((block,), price, matched=True, route=route))
    return tuple(found)


def _earned(loss: float, which: float, view: TaskView, old: int) -> bool:
    """Tell whether earlier answers explain labels better than a guess, their matching paid for.

    With one example a class the loss is of the rows that classes were matched on. So what is
    compared is the length of a description in two parts, the matching (one of old! / (old - C)!)
    and the labels given it, with that of the labels by themselves.
    """
    matching = math.lgamma(old + 1) - math.lgamma(old - view.n_classes + 1)
    return loss + (which + matching) / len(view.y) < math.log(view.n_classes)


def _which(lens: Lens | None) -> float:
    """Return what it takes to say which lens is meant, in nats."""
    return 0.0 if lens is None else math.log(LENSES)
