"""The task gate whose weights are computed in closed form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from cl_moe.moe.gates.task import TaskGate

__all__ = ("EvidenceGate",)


class EvidenceGate(TaskGate):
    """Weighs the paths of earlier tasks by how well each one explains the new task.

    A path is what an earlier task is answered by, from the input to its features. For a task with
    few examples one answer a path is computed in closed form (ridge regression) together with its
    leave-one-out cross-entropy l_p, and the answers are averaged with the weights

        w_p = softmax_p( -sqrt(n) l_p )        n: examples of the task

    which is the posterior over paths under a flat prior with the likelihood tempered from n to
    sqrt(n), since leave-one-out losses of paths that share data are correlated. Nothing is learned
    by descent, so nothing can be forgotten, and the weights are the task's map of relatedness.
    A task that has grown an expert of its own is routed as by :class:`TaskGate`.

    Task-aware gating in the sense of Gupta et al. 2022; mixtures of answers rather than features
    are those of Jacobs et al. 1991 (eq. 1.3).

    Args:
        in_features: length of a row once flattened.
        k: feature sets that are kept, best first; each costs a pass through its path, the raw input
            costs none.
        balance: as in :class:`~cl_moe.moe.gates.base.Gate`.
        z: as in :class:`~cl_moe.moe.gates.base.Gate`.
        weights: ``evidence``, or a control that looks at none: ``uniform`` weighs all paths alike,
            ``random`` draws ``k`` of them and weighs those alike. The answers on the paths are the
            same closed-form ones, so what differs is the routing alone.

    >>> gate = EvidenceGate(in_features=4, k=2)
    >>> [round(w, 3) for w in gate.weigh([0.5, 0.4, 2.0], examples=100).tolist()]
    [0.269, 0.731, 0.0]
    """

    def __init__(
        self,
        in_features: int,
        k: int = 2,
        balance: float = 0.0,
        z: float = 0.0,
        weights: Literal["evidence", "uniform", "random"] = "evidence",
    ) -> None:
        super().__init__(in_features, k, balance, z)
        self.weights = weights

    def weigh(
        self, losses: Sequence[float], examples: int, draw: torch.Generator | None = None
    ) -> Tensor:
        """Return the weights of paths, shape (P,), zero beyond the k best (or the k drawn).

        Args:
            losses: leave-one-out cross-entropy of each path, in nats.
            examples: number of training examples n.
            draw: where ``random`` weights are drawn from.
        """
        paths = len(losses)
        if self.weights == "uniform":
            return torch.full((paths,), 1 / paths)
        if self.weights == "random":
            assert draw is not None, "random weights need a generator"
            drawn = torch.randperm(paths, generator=draw)[: self.k]
            return torch.zeros(paths).index_fill_(0, drawn, 1 / len(drawn))
        logits = -(examples**0.5) * torch.tensor(losses, dtype=torch.float64)
        if self.k < len(losses):
            logits[logits < logits.topk(self.k).values[-1]] = -torch.inf
        return torch.softmax(logits, dim=0).float()
