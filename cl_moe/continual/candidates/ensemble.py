"""The candidate without training: an ensemble of closed-form fits and matched heads."""

from __future__ import annotations

import math
import time
from collections.abc import Collection, Sequence
from typing import Literal

import torch

from cl_moe.continual.candidates.trial import COMPARED_ROWS, Score, Split
from cl_moe.continual.decision import Decision, Evidence, decide_path
from cl_moe.continual.evidence.alignment import SYMMETRIES
from cl_moe.continual.evidence.ensemble import Ensemble, EnsembleMember, EvidenceRows
from cl_moe.continual.evidence.matching import is_one_shot, matching_evidence
from cl_moe.continual.evidence.rows import evenly
from cl_moe.continual.evidence.sample import Sample
from cl_moe.continual.evidence.weights import EnsembleWeights
from cl_moe.continual.view import TaskView
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.symmetry import Symmetry
from cl_moe.seeding import generator

__all__ = ("EnsembleCandidate", "Reads", "ensemble_members")

MATCHED_HEADS = 4
"""Most earlier heads, with their classes matched, among the members."""

Reads = Literal["features", "stages", "matched"]
"""What is read of an earlier path: its features, beside the raw input; the output of each inner
stage; the predictions of its head, with classes matched."""


class EnsembleCandidate:
    """An ensemble that is fitted to all or some of a task's rows.

    Args:
        view: the task.
        network: the network whose paths are read.
        members: the possible members.
        weights: computes their weights.
        sample: the rows used to select the members; if they are all rows, they are not read again.
    """

    def __init__(
        self,
        view: TaskView,
        network: MoENetwork,
        members: Sequence[EnsembleMember],
        weights: EnsembleWeights,
        sample: Sample,
    ) -> None:
        self.view, self.network, self.members, self.weights = view, network, members, weights
        whole = len(sample.y) == len(view.y)
        self._reader = sample.reader if whole else network.reader(view.x)
        seen = None if sample.fitted is None else EvidenceRows(sample.fitted, sample.reader)
        self._ensemble = Ensemble(self._reader, view.y, view.n_classes, seen, view.objective)

    @torch.no_grad()
    def head(self, rows: torch.Tensor | None = None) -> EnsembleHead:
        """Return the head fitted to some rows; to all of them by default."""
        draw = generator(
            self.network.seed, "route", self.view.task
        )  # the same random paths each time
        return self._ensemble.head(self.members, self.weights, rows, draw)

    @torch.no_grad()
    def recurs(self) -> bool:
        """Whether a matched head has a lower leave-one-out loss than any regression."""
        losses = self._ensemble.losses(self.members)
        return min(losses, key=losses.__getitem__).matched

    @torch.no_grad()
    def score(self, split: Split) -> Score:
        """Return the held-out score of a head fitted to (at most 512 of) the fitting rows."""
        head = self.head(split.fit[evenly(len(split.fit), COMPARED_ROWS)])
        outputs = head({block: self._reader[block][split.held] for block in head.blocks})
        held = self.view.y[split.held]
        return Score(*self.view.objective.calibrated_score(outputs, held))

    def decision(self, evidence: Evidence, steps: int = 0) -> Decision:
        """Return the decision for the ensemble, fitted to all rows; ``steps`` were spent on it."""
        start = time.process_time()
        edits = decide_path(self.network, self.view.task, (), self.head())
        seconds = time.process_time() - start
        return Decision(
            "ensemble", edits, evidence, train=False, steps=steps, learned_seconds=seconds
        )


def ensemble_members(
    view: TaskView,
    network: MoENetwork,
    sources: Sequence[tuple[int, Symmetry | None]],
    reads: Collection[Reads],
    sample: Sample,
    among: Collection[int],
) -> tuple[EnsembleMember, ...]:
    """Return ridge regressions on the raw input and on earlier paths, and the best matched heads.

    The price of a member is its description length: log T nats for one of T tasks, and those of a
    symmetry and of a matching of C classes. With one row per class no row can be left out, and the
    raw input is the only regression.

    Args:
        view: the new task.
        network: the network.
        sources: tasks whose paths are read, each without (None) or with a symmetry.
        reads: what is read of them.
        sample: the rows that matched heads are scored on.
        among: earlier tasks whose heads may be matched.
    """
    found = [EnsembleMember((RAW,))]
    for task, symmetry in sources if not is_one_shot(view.y) else ():
        stages = network.inner_stages(task) if "stages" in reads else 0
        blocks: list[tuple[Block, ...]] = [
            (Block(task, stage, symmetry),) for stage in range(stages)
        ]
        if "features" in reads:
            blocks.insert(0, (RAW, Block(task, "features", symmetry)))
        found += [EnsembleMember(pair, _price(network, symmetry)) for pair in blocks]
    if "matched" in reads:
        found += _matched(view, network, sources, sample, among)
    return tuple(found)


@torch.no_grad()
def _matched(
    view: TaskView,
    network: MoENetwork,
    sources: Sequence[tuple[int, Symmetry | None]],
    sample: Sample,
    among: Collection[int],
) -> list[EnsembleMember]:
    """Return the earlier heads whose predictions, with classes matched, fit the labels best.

    Each is scored on rows that its classes were not matched on, since among dozens of heads one
    matches a few labels by chance.
    """
    plain = _matchable(view, network, [task for task, symmetry in sources if not symmetry], among)
    moved = [(task, symmetry) for task, symmetry in sources if symmetry]
    known = _matchable(view, network, [task for task, _ in moved], among)
    blocks = [Block(task, "log predictions") for task in plain]
    blocks += [Block(task, "log predictions", s) for task, s in moved if task in known]
    values = sample.reader.blocks(blocks)
    losses = {b: matching_evidence(v, sample.y, view.n_classes)[1] for b, v in values.items()}
    found = []
    for block in sorted(losses, key=losses.__getitem__)[:MATCHED_HEADS]:
        price = _price(network, block.symmetry)
        if not is_one_shot(view.y) or _beats_guess(
            losses[block], price, view, network.n_classes(block.task)
        ):
            price, route = price + math.lgamma(view.n_classes + 1), network.route(block.task)
            found.append(EnsembleMember((block,), price, matched=True, route=route))
    return found


def _matchable(
    view: TaskView, network: MoENetwork, sources: Sequence[int], among: Collection[int]
) -> list[int]:
    """Return tasks with enough classes, on the paths of ``sources`` or with an ensemble."""
    if not view.classifies():
        return []
    paths, wanted = {network.path(task) for task in sources}, set(among)
    return [
        task
        for task in network.tasks
        if task in wanted
        and view.classifies(task)
        and (not network.owns_path(task) or network.path(task) in paths)
        and network.n_classes(task) >= view.n_classes
    ]


def _beats_guess(loss: float, price: float, view: TaskView, n_old: int) -> bool:
    """Whether a matching has a shorter description length than the labels.

    With one row per class, the loss is that of the rows used for the matching. Therefore the sum of
    the description lengths of the matching (one of n_old! / (n_old - C)!) and of the labels given
    the matching is compared with that of the labels.
    """
    matching = math.lgamma(n_old + 1) - math.lgamma(n_old - view.n_classes + 1)
    return loss + (price + matching) / len(view.y) < math.log(view.n_classes)


def _price(network: MoENetwork, symmetry: Symmetry | None) -> float:
    """Return the description length (nats) of an earlier task and a symmetry."""
    return math.log(len(network.heads)) + (math.log(SYMMETRIES) if symmetry else 0.0)
