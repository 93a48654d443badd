"""Candidate paths for a new task, with kept, copied, retrained or new experts."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cl_moe.continual.decision import Decision, Evidence, Expert, decide_path, fresh_expert
from cl_moe.continual.evidence.ridge import fit_ridge
from cl_moe.continual.evidence.rows import evenly
from cl_moe.continual.view import TaskView
from cl_moe.moe.heads.base import Head
from cl_moe.moe.heads.linear import LinearHead
from cl_moe.moe.network import MoENetwork

__all__ = ("CandidatePath", "Start", "copied_path", "fresh_path", "retrained_path")

RIDGE_ROWS = 2000
"""Most rows that a ridge head is fitted to."""

Start = Literal["keep", "copy", "fresh", "retrain"]
"""A slot's expert: the source's, frozen; a copy of it; a new one; or the source's, retrained."""


@dataclass(frozen=True)
class CandidatePath:
    """A path that a new task may be trained on.

    Attributes:
        kind: its name in the log.
        starts: the origin of the expert of each slot, first slot first.
        source: label of the earlier task whose experts are kept, copied or retrained.
        gain: score of the source's features minus that of the raw input.
        ridge: whether the head starts as a ridge regression on the source's features.
        waiting: for each slot, the id of an unused expert that a fresh start takes, or None.
    """

    kind: str
    starts: tuple[Start, ...]
    source: int | None = None
    gain: float | None = None
    ridge: bool = False
    waiting: tuple[str | None, ...] = ()

    @property
    def kept(self) -> int:
        """Number of slots, from the input up, whose experts are kept."""
        changed = [depth for depth, start in enumerate(self.starts) if start != "keep"]
        return changed[0] if changed else len(self.starts)

    @property
    def retrained(self) -> list[int]:
        """Places of the slots whose experts are retrained."""
        return [depth for depth, start in enumerate(self.starts) if start == "retrain"]

    def expert(self, depth: int, network: MoENetwork) -> nn.Module:
        """Return the module that training starts from in one slot: a new object unless kept."""
        layer, start = network.moe_layers[depth], self.starts[depth]
        if start == "fresh":
            id_ = self.waiting[depth] if self.waiting else None
            return layer.pool.copy_of(id_) if id_ else layer.make_next()
        assert self.source is not None
        (id_,) = layer.assigned[self.source]
        return layer.pool[id_] if start == "keep" else layer.pool.copy_of(id_)

    @torch.no_grad()
    def head(self, view: TaskView, network: MoENetwork, rows: Tensor) -> Head:
        """Return the task's head before training; a ridge head is fitted to some of the rows."""
        if self.ridge and network.head_kind.fits:
            some = rows[evenly(len(rows), RIDGE_ROWS)]
            assert self.source is not None
            features, _ = network.features(view.x[some], self.source)
            if bool(features.isfinite().all()):  # otherwise the source's training diverged
                fit = fit_ridge(features, view.y[some], view.objective)
                return LinearHead.of(fit.weight, fit.bias)
        return network.new_head(view.task, view.n_classes)

    def decision(
        self,
        view: TaskView,
        network: MoENetwork,
        head: Head,
        trained: Sequence[nn.Module] = (),
        evidence: Evidence | None = None,
        **costs: Any,
    ) -> Decision:
        """Return the decision for this path.

        Args:
            view: the task.
            network: the network.
            head: the task's head.
            trained: the experts above the kept slots, if a trial has trained them already.
            evidence: the evidence for the path.
            costs: ``steps``, ``learned`` and ``learned_seconds`` of the decision.
        """
        path: list[tuple[Expert, ...]] = []
        for depth, start in enumerate(self.starts):
            layer = network.moe_layers[depth]
            expert: Expert
            if start in ("keep", "retrain"):
                assert self.source is not None
                (expert,) = layer.assigned[self.source]
            elif trained:
                expert = trained[depth - self.kept]
            elif start == "fresh":
                expert = fresh_expert(layer)
            else:
                expert = self.expert(depth, network)
            path.append((expert,))
        retrain = tuple((depth, str(path[depth][0])) for depth in self.retrained)
        edits = decide_path(network, view.task, path, head, retrain)
        evidence = evidence or Evidence(self.source)
        return Decision(self.kind, edits, evidence, retrain=retrain, **costs)


def fresh_path(network: MoENetwork) -> CandidatePath:
    """Return the path of new experts; unused experts of a pool are taken first."""
    waiting = [fresh_expert(layer) for layer in network.moe_layers]
    ids = tuple(id_ if isinstance(id_, str) else None for id_ in waiting)
    starts: tuple[Start, ...] = tuple("fresh" for _ in ids)
    return CandidatePath("fresh", starts, waiting=ids)


def copied_path(source: int, gain: float, slots: int) -> CandidatePath:
    """Return the path of copies of an earlier task's experts.

    >>> copied_path(source=0, gain=0.1, slots=2).starts
    ('copy', 'copy')
    """
    starts: tuple[Start, ...] = tuple("copy" for _ in range(slots))
    return CandidatePath("copy", starts, source, gain, ridge=True)


def retrained_path(source: int, gain: float, full: Collection[int], slots: int) -> CandidatePath:
    """Return the path that retrains an earlier task's experts in the full slots.

    >>> retrained_path(source=0, gain=0.1, full=[0], slots=2).starts
    ('retrain', 'copy')
    """
    starts: tuple[Start, ...] = tuple("retrain" if i in full else "copy" for i in range(slots))
    return CandidatePath("reassign", starts, source, gain, ridge=True)
