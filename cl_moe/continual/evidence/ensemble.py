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

from cl_moe.continual.evidence.matching import match_classes, matching_evidence
from cl_moe.continual.evidence.ridge import LeaveOneOut, strength_of
from cl_moe.continual.evidence.rows import Scaled, SomeRows, Values, evidence_rows, scaled
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.gates._ensemble import EnsembleWeights
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.symmetry import Symmetry
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification

__all__ = ("Ensemble", "EnsembleMember", "EvidenceRows")

UNSCORED = (1.0, 8.0)
"""Ridge strength (for rows of length 1) and temperature where too few examples tell neither."""
NEGLIGIBLE = 0.1
"""An answer with less weight than this times the largest is left out of the pool."""


@dataclass(frozen=True)
class EnsembleMember:
    """One answer of those that are pooled.

    Attributes:
        blocks: what it reads. A regression reads them side by side, each scaled to one length.
        price: nats that it takes to say which answer is meant.
        matched: whether it is a matched head: the block is the log of an earlier task's answers, whose
            classes are matched with the new ones, and nothing else is fitted. Else it is ridge
            regression.
        route: the task that stands for the path it reads (:meth:`MoENetwork.route`), where that is
            not ``task`` itself: members on one path cost one pass together, if it is read through
            one symmetry.
        scored: whether evidence is looked for. Else it has the loss of a guess, and no price.
    """

    blocks: tuple[Block, ...]
    price: float = 0.0
    matched: bool = False
    route: int | None = None
    scored: bool = True

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
    """Weighs members by leave-one-out evidence, and pools them.

    The evidence of an member is its leave-one-out cross-entropy plus its price a row, both in nats
    a row; it is looked for once, and so the weights are the same however many rows are fitted. With
    one example a class nothing can be left out: what is judged all the same wins by chance. The
    values on all rows are asked for of those blocks alone that get weight.

    A head on some rows first and one on all afterwards cost little more than the latter: in the
    order in which those rows come first, their system is the corner of that of all, and so are the
    Cholesky factors.

    Args:
        values: the blocks' values on the task's N rows.
        y_N: labels; of another objective targets, (N, C).
        n_classes: number of classes C, or of outputs.
        seen: the rows that are looked at; by default some of those that a head is first asked for.
        objective: what is learned; None: classes. Of others, as of classes, answers are pooled by
            the nats a row that they leave, and what is pooled are predictions or logits.

    >>> x, y = torch.randn(60, 3, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 2
    >>> x[:, 0] += 4 * y
    >>> ensemble = Ensemble({RAW: x, Block(0): torch.zeros(60, 2)}, y, 2)
    >>> head = ensemble.head(
    ...     [EnsembleMember((RAW,)), EnsembleMember((Block(0),))], EnsembleWeights()
    ... )
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
        self._scaled: dict[Block, Scaled] = {}
        self._gram: dict[Block, Tensor] = {}
        self._factors: dict[EnsembleMember, Tensor] = {}
        self._order: Tensor | None = None
        self._seen = seen
        self._looked_at: dict[Block, Tensor] = {}
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
            rows: the rows to fit, the same ones each time; all of them by default.
            draw: where ``random`` weights are drawn from.
        """
        if self._seen is None:
            asked = torch.arange(len(self.y)) if rows is None else rows
            some = asked[evidence_rows(len(asked))]
            self._seen = EvidenceRows(some, SomeRows(self.values, some))
        n = len(self._seen.rows)
        found = {o: self._weighed(o, self._seen).loss for o in members}
        # What reads a path whose training diverged is no answer; the raw input always is one.
        finite = [o for o in members if math.isfinite(found[o])]
        members = finite or [EnsembleMember((RAW,))]
        losses = [self._weighed(o, self._seen).loss + o.price * o.scored / n for o in members]
        weights = weights_of(losses, _numbered([o.path for o in members]), n, draw)
        weights = torch.where(weights < NEGLIGIBLE * weights.max(), 0.0, weights)
        shares = (weights / weights.sum()).tolist()
        kept = {o: share for o, share in zip(members, shares, strict=True) if share}
        return self._pooled(kept, self._ordered(rows))

    def _ordered(self, rows: Tensor | None) -> Tensor:
        """Return the rows to fit; those that are asked for first are the first of all."""
        if self._order is None:
            asked = torch.arange(len(self.y)) if rows is None else rows
            rest = torch.ones(len(self.y), dtype=torch.bool)
            rest[asked] = False
            self._order = torch.cat([asked, rest.nonzero().flatten()])
        if rows is None:
            return self._order
        assert torch.equal(self._order[: len(rows)], rows), "other rows than before"
        return rows

    def _weighed(self, member: EnsembleMember, seen: EvidenceRows) -> LeaveOneOut:
        if member not in self._fits:
            self._fits[member] = self._evidence(member, seen)
        return self._fits[member]

    def _evidence(self, member: EnsembleMember, seen: EvidenceRows) -> LeaveOneOut:
        y = self.y[seen.rows]
        if member.matched:
            log_probs = seen.values[member.blocks[0]]
            temperature, loss = matching_evidence(log_probs, y, self.n_classes)
            return LeaveOneOut(0.0, temperature, loss)
        if not member.scored:
            return LeaveOneOut(*UNSCORED, math.log(self.n_classes))
        gram = torch.stack([self._some_gram(block, seen) for block in member.blocks]).sum(0)
        if not bool(gram.isfinite().all()):
            return LeaveOneOut(*UNSCORED, math.inf)
        return strength_of(gram, y, self.objective)

    def _pooled(self, shares: Mapping[EnsembleMember, float], rows: Tensor) -> EnsembleHead:
        """Return the weighted sum of the members' logits as one linear map a block."""
        weights: dict[Block, Tensor] = {}
        target = self.objective.encode(self.y[rows]).mean(0)
        bias = torch.zeros_like(target)
        by_path: dict[int, float] = {}
        for member, share in shares.items():
            by_path[member.task] = by_path.get(member.task, 0.0) + share
            factor = share * self._fits[member].temperature
            if member.matched:
                log_probs = self.values[member.blocks[0]]
                classes = match_classes(log_probs[rows], self.y[rows], self.n_classes)
                chosen = torch.eye(log_probs.shape[1], dtype=bias.dtype, device=bias.device)
                _add(weights, member.blocks[0], factor * chosen[classes])
                continue
            bias = bias + factor * target
            for block, solved in zip(member.blocks, self._solved(member, rows), strict=True):
                own = self._scaled_of(block)
                weight = own.unscaled(solved)
                _add(weights, block, factor * weight)
                bias = bias - factor * weight @ own.mean
        return EnsembleHead({b: w.float() for b, w in weights.items()}, bias.float(), by_path)

    def _solved(self, member: EnsembleMember, rows: Tensor) -> list[Tensor]:
        """Return ridge regression's weights (C, V) of each block's scaled values.

        By whichever system of equations is smaller: one a row (the dual), or one a feature.
        """
        parts = [self._scaled_of(block).rows[rows] for block in member.blocks]
        widths = [part.shape[1] for part in parts]
        centred = self.objective.encode(self.y[rows])
        centred = centred - centred.mean(0)
        strength = self._fits[member].strength
        if len(self.y) <= sum(widths):
            corner = self._factor(member)[: len(rows), : len(rows)]
            if len(rows) == len(self.y):
                del self._factors[member]  # N^2 numbers; nothing more is asked of them
            alpha = torch.cholesky_solve(centred, corner).float()
            return [(alpha.T @ part).double() for part in parts]
        x = torch.cat(parts, 1)
        right = (x.T @ centred.float()).double()
        solved = torch.cholesky_solve(right, _cholesky((x.T @ x).double(), strength))
        return list(solved.T.split(widths, 1))

    def _factor(self, member: EnsembleMember) -> Tensor:
        """Return the Cholesky factor (N, N) of the system of all rows, in their order here."""
        if member not in self._factors:
            gram = torch.stack([self._gram_of(block) for block in member.blocks]).sum(0)
            self._factors[member] = _cholesky(gram.double(), self._fits[member].strength)
        return self._factors[member]

    def _scaled_of(self, block: Block) -> Scaled:
        """Return the values on all rows."""
        if block not in self._scaled:
            self._scaled[block] = scaled(self.values[block])
        return self._scaled[block]

    def _some_gram(self, block: Block, seen: EvidenceRows) -> Tensor:
        """Return inner products (M, M) of the rows looked at for evidence."""
        if block not in self._looked_at:
            x = scaled(seen.values[block]).rows.double()
            self._looked_at[block] = x @ x.T
        return self._looked_at[block]

    def _gram_of(self, block: Block) -> Tensor:
        if block not in self._gram:
            x = self._scaled_of(block).rows[self._order]
            self._gram[block] = x @ x.T
        return self._gram[block]


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
    """Return the lower Cholesky factor of system + strength I; changes ``system``."""
    system.diagonal().add_(strength)
    factor: Tensor = torch.linalg.cholesky(system)
    return factor
