"""Rank the paths of earlier tasks for a new task."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence

from cl_moe.continual.evidence.alignment import Alignment
from cl_moe.continual.evidence.sample import Sample
from cl_moe.continual.evidence.scores import feature_score
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.symmetry import Symmetry

__all__ = ("best_symmetry", "distinct_paths", "gains_of")


def distinct_paths(network: MoENetwork, among: Collection[int] | None = None) -> list[int]:
    """Return one task per path: the first task that learned it.

    Args:
        network: the network.
        among: tasks, nearest first, whose paths (their own, or those that their ensembles read) are
            wanted; no more paths than tasks are returned. None: all paths.
    """
    first = network.first_on
    if among is None:
        return list(first.values())
    read = [source for task in among for source in network.reads(task)]
    near = dict.fromkeys(network.path(task) for task in read if network.owns_path(task))
    wanted = set((list(near) or list(first))[: len(among)])
    return [task for path, task in first.items() if path in wanted]


def gains_of(sources: Sequence[int], sample: Sample) -> dict[int, float]:
    """Return each path's gain: the score of its features minus that of the raw input.

    It is minus infinity for a path whose training diverged.
    """
    raw = _score(RAW, sample)
    scores = {task: _score(Block(task), sample) for task in sources}
    return {task: score if math.isinf(score) else score - raw for task, score in scores.items()}


def best_symmetry(
    alignment: Alignment, sample: Sample, gains: Mapping[int, float]
) -> list[tuple[int, Symmetry]]:
    """Return the pair of a path and a symmetry with the best gain, if better than all gains."""
    pairs = alignment.symmetries(sample.reader.z, gains)
    if not pairs:
        return []
    scores = [_score(Block(task, symmetry=symmetry), sample) for task, symmetry in pairs]
    best = max(range(len(pairs)), key=scores.__getitem__)
    ahead = scores[best] - _score(RAW, sample) > max(gains.values())
    return [pairs[best]] if ahead else []


def _score(block: Block, sample: Sample) -> float:
    values = sample.reader[block]
    if not bool(values.isfinite().all()):  # the training of the path diverged
        return -math.inf
    score = feature_score(values, sample.y, sample.objective)
    return score if math.isfinite(score) else -math.inf
