"""The task gate whose weights are computed in closed form."""

from __future__ import annotations

from typing import Literal

from cl_moe.moe.gates._ensemble import EnsembleWeights
from cl_moe.moe.gates.task import TaskGate

__all__ = ("EnsembleGate",)


class EnsembleGate(TaskGate):
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
    (64), no path is taken whose best answer is not ahead of the raw input's by 0.005 nats;
    with fewer, an average of both is the safer answer.

    Task-aware gating in the sense of Gupta et al. 2022; the pool is
    :class:`~cl_moe.moe.heads.ensemble.EnsembleHead`.

    Args:
        in_features: length of a row once flattened.
        k: paths that are kept, best first; each costs a pass, the raw input costs none.
        balance: as in :class:`~cl_moe.moe.gates.base.Gate`.
        z: as in :class:`~cl_moe.moe.gates.base.Gate`.
        weights: ``evidence``, or a control that looks at none: ``uniform`` weighs the answers on
            all paths alike, ``random`` draws ``k`` paths and weighs theirs alike. The answers
            are the same closed-form ones, so what differs is the routing alone.

    >>> EnsembleGate(in_features=4, k=2).ensemble
    EnsembleWeights(k=2, kind='evidence')
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
        self.ensemble = EnsembleWeights(k, weights)
