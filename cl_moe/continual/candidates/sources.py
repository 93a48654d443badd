"""Which earlier paths are promising for a new task, and through which lens."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from torch import Tensor

from cl_moe.continual.candidates.ensemble import Part, Reading
from cl_moe.continual.evidence.alignment import Alignment
from cl_moe.continual.evidence.matching import single_examples
from cl_moe.continual.evidence.sample import Sample
from cl_moe.continual.evidence.scores import SCORES, of_targets
from cl_moe.continual.view import TaskView
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.symmetry import Lens
from cl_moe.objectives.classification import Classification

__all__ = ("Ranking", "Score")

Score = Literal["ncm", "logme", "ridge", "knn"]


class Ranking:
    """Scores what earlier paths make of a new task's rows, and remembers what they were trained on.

    Args:
        score: closed-form score of features, for tasks with classes; others have the score
            ``ridge``.
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

    def reading(
        self,
        y: Tensor,
        sample: Sample,
        gains: Mapping[int, float],
        among: Sequence[int],
        parts: Sequence[Part],
        by_evidence: bool = True,
    ) -> Reading:
        """Return what an average reads: of the paths in question, and of one through a lens.

        With one or two examples a class, labels tell too little of how good a path's features are.
        Then the path is read whose images the rows look most like, as they are or through a lens;
        its readings are not judged, and it is not asked what it takes the rows for. Earlier answers
        still have to earn their place. Where no looks are known, two examples are judged as more
        are, and with one the raw input answers.

        Args:
            y: the labels of all rows.
            sample: the rows that paths are scored on.
            gains: gain of every path.
            among: those that are considered.
            parts: what of a path may be read.
            by_evidence: whether evidence weighs the answers.
        """
        lone = single_examples(y)
        if by_evidence and single_examples(y, most=2):
            alike = self.looks.nearest(sample.reader.z, gains)
            if alike is not None:
                task, lens = alike
                pairs = [] if lens is None else [(task, lens)]
                seen = [part for part in parts if part != "answers"]
                return Reading([] if pairs else [task], pairs, seen, judged=False)
            if lone:
                parts = [part for part in parts if part == "take over"]
        return Reading(among, self.lensed(sample, gains), parts, judged=not lone)

    def learned(self, view: TaskView, network: MoENetwork, retrained: bool) -> None:
        """Remember the images that a path was trained on, by the task that stands for the path.

        What an encoder makes of images is not looked at.
        """
        if not network.owns_path(view.task) or len(network.backbone.base):
            return
        first = network.first_on[network.path(view.task)]
        if first == view.task or retrained:
            self.looks.add(first, view.x)

    def _of(self, block: Block, sample: Sample) -> float:
        values = sample.reader.blocks([block])[block]
        if not bool(values.isfinite().all()):  # of a path whose training diverged
            return -math.inf
        if sample.objective is None or isinstance(sample.objective, Classification):
            return self.score(values, sample.y)
        return of_targets(values, sample.y, sample.objective)
