"""Closed-form answers on blocks of earlier paths, weighed by evidence and pooled into one head.

Shape letters: N examples, M of them looked at for evidence, D values of a block, C classes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from cl_moe.continual.evidence.matching import is_one_shot, match_classes, matching_evidence
from cl_moe.continual.evidence.ridge import LeaveOneOut, leave_one_out
from cl_moe.continual.evidence.rows import Scaled, SomeRows, Values, evidence_rows, scaled
from cl_moe.continual.evidence.weights import EnsembleWeights
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.symmetry import Symmetry
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification

__all__ = ("Ensemble", "EnsembleMember", "EvidenceRows")

ONE_SHOT = (1.0, 8.0)
"""Ridge strength (for rows of length 1) and temperature for too few rows to select them."""
NEGLIGIBLE = 0.1
"""Members with less than this times the largest weight are left out."""


@dataclass(frozen=True)
class EnsembleMember:
    """One answer of those that are pooled.

    Attributes:
        blocks: what it reads. A regression reads them side by side, each scaled to one length.
        price: nats that it takes to say which answer is meant.
        matched: whether it is a matched head: the block is the log of an earlier task's
            predictions, whose classes are matched with the new ones, and nothing else is fitted.
            Else it is ridge regression.
        route: the task that stands for the path it reads (:meth:`MoENetwork.route`), where that is
            not ``task`` itself: members on one path cost one pass together, if it is read through
            one symmetry.
    """

    blocks: tuple[Block, ...]
    price: float = 0.0
    matched: bool = False
    route: int | None = None

    @property
    def task(self) -> int:
        """The earlier task whose path is read; -1 for the raw input alone."""
        return max(block.task for block in self.blocks)

    @property
    def path(self) -> tuple[int, Symmetry | None]:
        """The task that stands for the path that is run (-1: none), and the symmetry before it."""
        symmetry = next((block.symmetry for block in self.blocks if block.symmetry), None)
        return (self.task if self.route is None else self.route), symmetry


class EvidenceRows(NamedTuple):
    """The rows that are looked at for evidence.

    Attributes:
        rows: which of the task's rows, M of them.
        values: the blocks' values on them, each (M, D).
    """

    rows: Tensor
    values: Values


class Ensemble:
    """Weighs members by leave-one-out evidence, and pools them into one head.

    The evidence of a member is its leave-one-out cross-entropy plus its price a row, both in nats
    a row. It is computed once, and so the weights are the same however many rows are fitted. With
    one row a class nothing can be left out: a regression has the loss of a guess. Of blocks without
    weight no values are read but those of the evidence.

    Args:
        values: the blocks' values on the task's N rows.
        y_N: labels; of another objective targets, (N, C).
        n_classes: number of classes C, or of outputs.
        seen: the rows that evidence is computed on; by default some of those that are first fitted.
        objective: what is learned; None: classes. What is pooled are logits, or predictions.

    >>> x, y = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 2
    >>> x[:, 0] += 4 * y
    >>> ensemble = Ensemble({RAW: x, Block(0): torch.zeros(60, 2)}, y, 2)
    >>> members = [EnsembleMember((RAW,)), EnsembleMember((Block(0),))]
    >>> head = ensemble.head(members, EnsembleWeights())
    >>> round(head.shares[-1], 2), [block.task for block in head.blocks]
    (1.0, [-1])
    """

    def __init__(
        self,
        values: Values,
        y_N: Tensor,
        n_classes: int,
        seen: EvidenceRows | None = None,
        objective: Objective | None = None,
    ) -> None:
        self.values, self.y, self.n_classes = values, y_N, n_classes
        self.objective = Classification(n_classes) if objective is None else objective
        self._seen = seen
        self._fits: dict[EnsembleMember, LeaveOneOut] = {}

    @torch.no_grad()
    def head(
        self,
        members: Sequence[EnsembleMember],
        weights_of: EnsembleWeights,
        rows: Tensor | None = None,
        draw: torch.Generator | None = None,
    ) -> EnsembleHead:
        """Return the head that pools the members.

        Args:
            members: what may be pooled.
            weights_of: weighs them.
            rows: the rows to fit; all of them by default.
            draw: where ``random`` weights are drawn from.
        """
        rows = torch.arange(len(self.y)) if rows is None else rows
        losses = self.losses(members, rows)
        paths = _numbered([member.path for member in losses])
        weights = weights_of([*losses.values()], paths, len(self._evidence_rows(rows).rows), draw)
        weights = torch.where(weights < NEGLIGIBLE * weights.max(), 0.0, weights)
        shares = (weights / weights.sum()).tolist()
        kept = {member: share for member, share in zip(losses, shares, strict=True) if share}
        return self._pooled(kept, rows)

    def losses(
        self, members: Sequence[EnsembleMember], rows: Tensor | None = None
    ) -> dict[EnsembleMember, float]:
        """Return the evidence of members with their prices, in nats per row, where it is finite.

        A member that reads a path whose training diverged has none. With none at all, that of the
        raw input is returned, infinite where the layers before the experts diverged.
        """
        seen = self._evidence_rows(torch.arange(len(self.y)) if rows is None else rows)
        blocks = _Blocks(seen.values, self.y[seen.rows])
        found = {}
        for member in members:
            if member not in self._fits:
                self._fits[member] = self._evidence(member, blocks)
            loss = self._fits[member].loss + member.price / len(seen.rows)
            if math.isfinite(loss):
                found[member] = loss
        if found:
            return found
        raw = EnsembleMember((RAW,))
        if raw in members:
            return {raw: math.inf}
        return self.losses([raw], rows)

    def _evidence_rows(self, rows: Tensor) -> EvidenceRows:
        if self._seen is None:
            some = rows[evidence_rows(len(rows))]
            self._seen = EvidenceRows(some, SomeRows(self.values, some))
        return self._seen

    def _evidence(self, member: EnsembleMember, blocks: _Blocks) -> LeaveOneOut:
        if member.matched:
            log_probs = blocks.values[member.blocks[0]]
            temperature, loss = matching_evidence(log_probs, blocks.y, self.n_classes)
            return LeaveOneOut(0.0, temperature, loss)
        if is_one_shot(blocks.y):
            return LeaveOneOut(*ONE_SHOT, math.log(self.n_classes))
        gram = blocks.gram(member)
        means = [blocks.scaled(block).mean for block in member.blocks]
        if not all(bool(found.isfinite().all()) for found in (gram, *means)):
            return LeaveOneOut(*ONE_SHOT, math.inf)
        return leave_one_out(gram, blocks.y, self.objective)

    def _pooled(self, shares: Mapping[EnsembleMember, float], rows: Tensor) -> EnsembleHead:
        """Return the weighted sum of the members' logits as one linear map a block."""
        blocks = _Blocks(SomeRows(self.values, rows), self.y[rows])
        weights: dict[Block, Tensor] = {}
        target = self.objective.encode(blocks.y).mean(0)
        bias = torch.zeros_like(target)
        by_path: dict[int, float] = {}
        for member, share in shares.items():
            by_path[member.task] = by_path.get(member.task, 0.0) + share
            factor = share * self._fits[member].temperature
            if member.matched:
                log_probs = blocks.values[member.blocks[0]]
                classes = match_classes(log_probs, blocks.y, self.n_classes)
                chosen = torch.eye(log_probs.shape[1], dtype=bias.dtype, device=bias.device)
                _add(weights, member.blocks[0], factor * chosen[classes])
                continue
            bias = bias + factor * target
            for block, solved in zip(member.blocks, self._solved(member, blocks), strict=True):
                own = blocks.scaled(block)
                weight = own.unscaled(solved)
                _add(weights, block, factor * weight)
                bias = bias - factor * weight @ own.mean
        return EnsembleHead({b: w.float() for b, w in weights.items()}, bias.float(), by_path)

    def _solved(self, member: EnsembleMember, blocks: _Blocks) -> list[Tensor]:
        """Return ridge regression's weights (C, V) of each block's scaled values.

        By whichever system of equations is smaller: one per row (the dual), or one per feature.
        """
        parts = [blocks.scaled(block).rows for block in member.blocks]
        widths = [part.shape[1] for part in parts]
        centred = self.objective.encode(blocks.y)
        centred = centred - centred.mean(0)
        strength = self._fits[member].strength
        if len(centred) <= sum(widths):
            alpha = torch.cholesky_solve(centred, _cholesky(blocks.gram(member), strength)).float()
            return [(alpha.T @ part).double() for part in parts]
        x = torch.cat(parts, 1)
        right = (x.T @ centred.float()).double()
        solved = torch.cholesky_solve(right, _cholesky((x.T @ x).double(), strength))
        return list(solved.T.split(widths, 1))


class _Blocks:
    """Values of blocks on some rows, scaled, and their inner products; each computed once."""

    def __init__(self, values: Values, y: Tensor) -> None:
        self.values, self.y = values, y
        self._scaled: dict[Block, Scaled] = {}
        self._grams: dict[Block, Tensor] = {}

    def scaled(self, block: Block) -> Scaled:
        """Return the scaled values."""
        if block not in self._scaled:
            self._scaled[block] = scaled(self.values[block])
        return self._scaled[block]

    def gram(self, member: EnsembleMember) -> Tensor:
        """Return inner products (M, M) of rows of the member's blocks side by side, float64."""
        for block in member.blocks:
            if block not in self._grams:
                x = self.scaled(block).rows.double()
                self._grams[block] = x @ x.T
        return torch.stack([self._grams[block] for block in member.blocks]).sum(0)


def _numbered(paths: Sequence[tuple[int, Symmetry | None]]) -> list[int]:
    """Return numbers for paths, the same for the same; -1 for none.

    >>> _numbered([(-1, None), (4, None), (4, Symmetry(turns=1)), (4, None)])
    [-1, 0, 1, 0]
    """
    number: dict[tuple[int, Symmetry | None], int] = {(RAW.task, None): -1}
    return [number.setdefault(path, len(number) - 1) for path in paths]


def _add(weights: dict[Block, Tensor], block: Block, weight: Tensor) -> None:
    weights[block] = weights[block] + weight if block in weights else weight


def _cholesky(system: Tensor, strength: float) -> Tensor:
    """Return the lower Cholesky factor of system + strength I; changes ``system``.

    The strength is raised where that is not positive definite.
    """
    system.diagonal().add_(strength)
    factor: Tensor
    factor, failed = torch.linalg.cholesky_ex(system)
    while failed and math.isfinite(strength):  # rounding in the products exceeds the strength
        strength = 10 * max(strength, torch.finfo(system.dtype).tiny)
        system.diagonal().add_(strength)
        factor, failed = torch.linalg.cholesky_ex(system)
    return factor
