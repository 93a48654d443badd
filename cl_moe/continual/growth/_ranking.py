"""Which earlier paths are promising for a new task, and through which lens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from cl_moe.continual.growth._sample import Sample
from cl_moe.continual.growth.base import GrowthDecision
from cl_moe.continual.relatedness.alignment import Alignment
from cl_moe.continual.relatedness.scores import SCORES
from cl_moe.continual.view import TaskView
from cl_moe.moe.heads import RAW, Block
from cl_moe.moe.lens import Lens
from cl_moe.moe.network import MoENetwork

__all__ = ("Ranking", "Score")

Score = Literal["ncm", "logme", "ridge", "knn"]


class Ranking:
    """Scores what earlier paths make of a new task's rows, and remembers what they were trained on.

    Args:
        score: closed-form score of features.
        lenses: pairs of a path and a lens that are scored beside the paths as they are.
    """

    def __init__(self, score: Score, lenses: int) -> None:
        self.score, self.looks = SCORES[score], Alignment(lenses)

    def gains(self, sample: Sample, sources: Sequence[int]) -> dict[int, float]:
        """Score each earlier path's features against the raw input, on the same rows."""
        raw = self._of(RAW, sample)
        return {task: self._of(Block(task), sample) - raw for task in sources}

    def lensed(self, sample: Sample, gains: Mapping[int, float]) -> list[tuple[int, Lens]]:
        """Return the pair of a path and a lens with the best gain, if no path as it is has that."""
        pairs = self.looks.lenses(sample.reader.z, gains)
        if not pairs:
            return []
        scores = [self._of(Block(task, lens=lens), sample) for task, lens in pairs]
        best = max(range(len(pairs)), key=scores.__getitem__)
        ahead = scores[best] - self._of(RAW, sample) > max(gains.values())
        return [pairs[best]] if ahead else []

    def look(self, decision: GrowthDecision, view: TaskView, network: MoENetwork) -> None:
        """Remember the images that a path is trained on, by the task that stands for the path.

        What an encoder makes of images is not looked at.
        """
        ids = [tuple(e for e in layer if isinstance(e, str)) for layer in decision.path]
        first = network.first_on.get(tuple(ids))
        trains = decision.path and (first is None or decision.retrain)
        if trains and network.encoder is None:
            self.looks.add(view.task if first is None else first, view.x)

    def _of(self, block: Block, sample: Sample) -> float:
        return self.score(sample.reader.blocks([block])[block], sample.y)
