"""Weights of closed-form answers on earlier paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

__all__ = ("EnsembleWeights",)

ENOUGH = 64
"""Examples with which a small difference in evidence is no chance any more."""
MARGIN = 0.005
"""Nats by which an earlier path must be ahead of the raw input to be worth its pass."""


@dataclass(frozen=True)
class EnsembleWeights:
    """Weighs answers by their evidence; see :class:`~cl_moe.moe.gates.ensemble.EnsembleGate`.

    Args:
        k: paths that are kept, best first.
        kind: ``evidence``, or a control that looks at none: ``uniform`` or ``random``.

    >>> weigh = EnsembleWeights(k=1)  # the raw input and two paths
    >>> [round(w, 3) for w in weigh([0.5, 0.4, 2.0], paths=[-1, 0, 1], examples=100).tolist()]
    [0.269, 0.731, 0.0]
    """

    k: int = 1
    kind: Literal["evidence", "uniform", "random"] = "evidence"

    def __call__(
        self,
        losses: Sequence[float],
        paths: Sequence[int],
        examples: int,
        draw: torch.Generator | None = None,
    ) -> Tensor:
        """Return the weights of the answers, shape (S,), zero beyond the k best (or drawn) paths.

        Args:
            losses: leave-one-out cross-entropy of each answer, in nats.
            paths: the path each one reads; -1 for the raw input, which is always kept.
            examples: number of training examples n.
            draw: where ``random`` weights are drawn from.
        """
        on = torch.tensor(paths)
        found = on[on >= 0].unique()
        if self.kind == "uniform":
            return torch.full((len(on),), 1 / len(on))
        if self.kind == "random":
            assert draw is not None, "random weights need a generator"
            kept = found[torch.randperm(len(found), generator=draw)[: self.k]]
            chosen = torch.isin(on, kept) | (on < 0)
            return chosen / chosen.sum()
        loss = torch.tensor(losses, dtype=torch.float64)
        best = {int(path): float(loss[on == path].min()) for path in found}
        raw = float(loss[on < 0].min()) if (on < 0).any() else torch.inf
        ahead = raw - MARGIN if examples >= ENOUGH else torch.inf
        worth = [path for path in best if best[path] <= ahead]
        kept = torch.tensor(sorted(worth, key=best.__getitem__)[: self.k], dtype=on.dtype)
        logits = -(examples**0.5) * loss
        logits[~torch.isin(on, kept) & (on >= 0)] = -torch.inf
        return torch.softmax(logits, dim=0).float()
