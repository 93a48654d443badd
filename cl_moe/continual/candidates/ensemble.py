"""What an average may pool: answers on the raw input, on earlier paths, and earlier answers."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import Literal, NamedTuple

from cl_moe.continual.candidates.matched import best_matched, matchable
from cl_moe.continual.evidence.alignment import SYMMETRIES
from cl_moe.continual.evidence.ensemble import EnsembleMember
from cl_moe.continual.evidence.matching import is_one_shot
from cl_moe.continual.evidence.sample import Sample
from cl_moe.continual.view import TaskView
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.symmetry import Symmetry

__all__ = ("FeatureChoice", "Part", "ensemble_members")

MATCHED_HEADS = 4
"""Earlier tasks whose answers are pooled with their classes matched, at most."""


Part = Literal["features", "predictions", "stages", "matched"]
"""What an average reads of an earlier path: its features, its answers, its inner stages, or its
answers as they are, with classes matched."""


class FeatureChoice(NamedTuple):
    """What an average may read.

    Attributes:
        paths: the tasks whose paths are considered.
        transformed: tasks whose paths are considered under a symmetry, too.
        parts: what of a path may be read.
        scored: whether evidence tells how good a regression is.
    """

    paths: Sequence[int]
    transformed: Sequence[tuple[int, Symmetry]]
    parts: Sequence[Part]
    scored: bool = True


def ensemble_members(
    view: TaskView,
    network: MoENetwork,
    choice: FeatureChoice,
    matched_tasks: Collection[int],
    sample: Sample,
) -> tuple[EnsembleMember, ...]:
    """Return the answers to pool: ridge regressions, and the best matched heads.

    A path is read in its features and in its answers, each beside the raw input, and in each of its
    inner stages: what a stage sees is closer to the input, and may serve where the rest does not.
    Where nothing is judged, the raw input by itself is an answer only if there is no other.

    Args:
        view: the new task.
        network: the network.
        choice: what may be read.
        matched_tasks: tasks whose head was itself taken over: they would give the same answers again.
        sample: what matched heads are judged on.
    """
    paths, transformed, reads, scored = choice
    which_path = math.log(len(network.tasks))
    found: list[EnsembleMember] = []
    for task, symmetry in [*((task, None) for task in paths), *transformed]:
        price = which_path + _which(symmetry)
        ends: Sequence[Part] = ("features", "predictions")
        blocks: list[tuple[Block, ...]] = [
            (RAW, Block(task, part, symmetry)) for part in ends if part in reads
        ]
        stages = network.inner_stages(task) if "stages" in reads else 0
        blocks += [(Block(task, stage, symmetry),) for stage in range(stages)]
        found += [EnsembleMember(pair, price, scored=scored) for pair in blocks]
    if scored or not found:
        found.insert(0, EnsembleMember((RAW,), scored=scored))
    if "matched" in reads:
        answers = [
            Block(task, "log predictions")
            for task in matchable(view, network, paths, matched_tasks)
        ]
        known = matchable(view, network, [task for task, _ in transformed], matched_tasks)
        answers += [
            Block(task, "log predictions", symmetry)
            for task, symmetry in transformed
            if task in known
        ]
        for block, loss in best_matched(answers, sample, view.n_classes, MATCHED_HEADS).items():
            which = which_path + _which(block.symmetry)
            price = which + math.lgamma(view.n_classes + 1)
            route = network.route(block.task)
            old = network.n_classes(block.task)
            if not is_one_shot(view.y) or _earned(loss, which, view, old):
                found.append(EnsembleMember((block,), price, matched=True, route=route))
    return tuple(found)


def _earned(loss: float, which: float, view: TaskView, old: int) -> bool:
    """Tell whether earlier answers explain labels better than a guess, their matching paid for.

    With one example a class the loss is of the rows that classes were matched on. So what is
    compared is the length of a description in two parts, the matching (one of old! / (old - C)!)
    and the labels given it, with that of the labels by themselves.
    """
    matching = math.lgamma(old + 1) - math.lgamma(old - view.n_classes + 1)
    return loss + (which + matching) / len(view.y) < math.log(view.n_classes)


def _which(symmetry: Symmetry | None) -> float:
    """Return what it takes to say which symmetry is meant, in nats."""
    return 0.0 if symmetry is None else math.log(SYMMETRIES)
