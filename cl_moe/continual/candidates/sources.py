"""Which earlier paths are promising for a new task, and under which symmetry."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal

from torch import Tensor

from cl_moe.continual.candidates.ensemble import FeatureChoice, Part
from cl_moe.continual.evidence.alignment import Alignment
from cl_moe.continual.evidence.matching import is_one_shot
from cl_moe.continual.evidence.sample import Sample
from cl_moe.continual.evidence.scores import SCORES, of_targets
from cl_moe.continual.view import TaskView
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.symmetry import Symmetry
from cl_moe.objectives.classification import Classification

__all__ = ("Ranking", "Score")

Score = Literal["ncm", "logme", "ridge", "knn"]


class Ranking:
    """Scores what earlier paths make of a new task's rows, and remembers what they were trained on.

    Args:
        score: closed-form score of features, for tasks with classes; others have the score
            ``ridge``.
        symmetries: pairs of a path and a symmetry that are scored beside the paths as they are.
    """

    def __init__(self, score: Score, symmetries: int) -> None:
        self.score, self.alignment = SCORES[score], Alignment(symmetries)

    def gains(self, sample: Sample, sources: Sequence[int]) -> dict[int, float]:
        """Score each earlier path's features against the raw input, on the same rows."""
        raw = self._of(RAW, sample)
        return {task: self._of(Block(task), sample) - raw for task in sources}

    def transformed(self, sample: Sample, gains: Mapping[int, float]) -> list[tuple[int, Symmetry]]:
        """Return the pair of a path and a symmetry with the best gain, if no path as it is has that."""
        pairs = self.alignment.symmetries(sample.reader.z, gains)
        if not pairs:
            return []
        scores = [self._of(Block(task, symmetry=symmetry), sample) for task, symmetry in pairs]
        best = max(range(len(pairs)), key=scores.__getitem__)
        ahead = scores[best] - self._of(RAW, sample) > max(gains.values())
        return [pairs[best]] if ahead else []

    def choose_features(
        self,
        y: Tensor,
        sample: Sample,
        gains: Mapping[int, float],
        among: Sequence[int],
        parts: Sequence[Part],
        by_evidence: bool = True,
    ) -> FeatureChoice:
        """Return what an average reads: of the paths in question, and of one under a symmetry.

        With one or two examples a class, labels tell too little of how good a path's features are.
        Then the path is read whose images the rows look most like, as they are or under a symmetry;
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
        lone = is_one_shot(y)
        if by_evidence and is_one_shot(y, most=2):
            alike = self.alignment.nearest(sample.reader.z, gains)
            if alike is not None:
                task, symmetry = alike
                pairs = [] if symmetry is None else [(task, symmetry)]
                seen = [part for part in parts if part != "predictions"]
                return FeatureChoice([] if pairs else [task], pairs, seen, scored=False)
            if lone:
                parts = [part for part in parts if part == "matched"]
        return FeatureChoice(among, self.transformed(sample, gains), parts, scored=not lone)

    def learned(self, view: TaskView, network: MoENetwork, retrained: bool) -> None:
        """Remember the images that a path was trained on, by the task that stands for the path.

        What an encoder makes of images is not looked at.
        """
        if not network.owns_path(view.task) or len(network.backbone.base):
            return
        first = network.first_on[network.path(view.task)]
        if first == view.task or retrained:
            self.alignment.add(first, view.x)

    def _of(self, block: Block, sample: Sample) -> float:
        values = sample.reader.blocks([block])[block]
        if not bool(values.isfinite().all()):  # of a path whose training diverged
            return -math.inf
        if sample.objective is None or isinstance(sample.objective, Classification):
            return self.score(values, sample.y)
        return of_targets(values, sample.y, sample.objective)
