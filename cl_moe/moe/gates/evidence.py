"""The task gate whose weights are computed in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from cl_moe.moe.gates.task import TaskGate

__all__ = ("EvidenceGate",)

ENOUGH = 64
"""Examples with which a small difference in evidence is no chance any more."""
MARGIN = 0.005
"""Nats by which an earlier path must be ahead of the raw input to be worth its pass."""


class EvidenceGate(TaskGate):
    """Weighs the paths of earlier tasks by how well each one explains the new task.

    A path is what an earlier task is answered by, from the input to its features. For a task with
    few examples several answers a path are computed in closed form (ridge regression) together
    with their leave-one-out cross-entropies l_s, and the answers are pooled with the weights

        w_s = softmax_s( -sqrt(n) l_s )        n: examples of the task

    which is the posterior over answers under a flat prior with the likelihood tempered from n to
    sqrt(n), since leave-one-out losses of answers that share data are correlated. Nothing is
    learned by descent, so nothing can be forgotten, and the weights are the task's map of
    relatedness. A task that has grown an expert of its own is routed as by :class:`TaskGate`.

    A path costs a pass and the raw input costs none. So with examples enough to tell
    (``ENOUGH``), no path is taken whose best answer is not ahead of the raw input's by ``MARGIN``;
    with fewer, an average of both is the safer answer.

    Task-aware gating in the sense of Gupta et al. 2022; the pool is
    :class:`~cl_moe.moe.heads.EvidenceHead`.

    Args:
        in_features: length of a row once flattened.
        k: paths that are kept, best first; each costs a pass, the raw input costs none.
        balance: as in :class:`~cl_moe.moe.gates.base.Gate`.
        z: as in :class:`~cl_moe.moe.gates.base.Gate`.
        weights: ``evidence``, or a control that looks at none: ``uniform`` weighs the answers on
            all paths alike, ``random`` draws ``k`` paths and weighs theirs alike. The answers
            are the same closed-form ones, so what differs is the routing alone.

    >>> gate = EvidenceGate(in_features=4, k=1)  # the raw input and two paths
    >>> [round(w, 3) for w in gate.weigh([0.5, 0.4, 2.0], paths=[-1, 0, 1], examples=100).tolist()]
    [0.269, 0.731, 0.0]
    """

    def __init__(
        self,
        in_features: int,
        k: int = 1,
        balance: float = 0.0,
        z: float = 0.0,
        weights: Literal["evidence", "uniform", "random"] = "evidence",
    ) -> None:
        super().__init__(in_features, k, balance, z)
        self.weights = weights

    def weigh(
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
        if self.weights == "uniform":
            return torch.full((len(on),), 1 / len(on))
        if self.weights == "random":
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
