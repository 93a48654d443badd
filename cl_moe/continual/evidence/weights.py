"""Weights of the members of an ensemble."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

__all__ = ("EnsembleWeights",)

ENOUGH = 64
"""Rows from which on an earlier path must be ahead of the raw input to be read."""
MARGIN = 0.005
"""Nats by which it must be ahead, to be worth its forward pass."""


@dataclass(frozen=True)
class EnsembleWeights:
    """Weighs the members of an ensemble by their leave-one-out losses.

    With l_s the leave-one-out cross-entropy of member s, and n rows, the weights are

        w_s = softmax_s( -sqrt(n) l_s )

    the posterior over members under a flat prior, with the likelihood tempered from n to sqrt(n):
    leave-one-out losses of members that share data are correlated. Nothing is learned by descent,
    so nothing can be forgotten, and the weights map how tasks are related. Task-aware gating in the
    sense of Gupta et al. 2022, a task at a time; the pooling of log-probabilities is a logarithmic
    opinion pool (Genest & Zidek 1986).

    A path costs a forward pass and the raw input costs none. So with ``ENOUGH`` rows no path is
    read whose best member is not ahead of the raw input by ``MARGIN``; with fewer, a mean of both
    is the safer prediction.

    Args:
        k: paths that are read, best first.
        kind: ``evidence``, or a control that ignores it: ``uniform`` weighs members on all paths
            alike, ``random`` draws ``k`` paths and weighs their members alike.

    >>> weigh = EnsembleWeights(k=1)  # the raw input and two paths
    >>> [round(w, 3) for w in weigh([0.5, 0.4, 2.0], paths=[-1, 0, 1], n=100).tolist()]
    [0.269, 0.731, 0.0]
    """

    k: int = 1
    kind: Literal["evidence", "uniform", "random"] = "evidence"

    def __call__(
        self,
        losses: Sequence[float],
        paths: Sequence[int],
        n: int,
        draw: torch.Generator | None = None,
    ) -> Tensor:
        """Return the weights (S,), which sum to 1; zero beyond the k best (or drawn) paths.

        Args:
            losses: leave-one-out cross-entropy of each of S members, in nats.
            paths: the path that each one reads; -1 for the raw input, which is always kept.
            n: number of training rows.
            draw: where ``random`` draws from.
        """
        on = torch.tensor(paths)
        read = on[on >= 0].unique()
        if self.kind == "uniform":
            return torch.full((len(on),), 1 / len(on))
        if self.kind == "random":
            assert draw is not None, "random weights need a generator"
            kept = read[torch.randperm(len(read), generator=draw)[: self.k]]
            chosen = torch.isin(on, kept) | (on < 0)
            return chosen / chosen.sum()
        loss = torch.tensor(losses, dtype=torch.float64)
        best = {int(path): float(loss[on == path].min()) for path in read}
        raw = float(loss[on < 0].min()) if (on < 0).any() else torch.inf
        limit = raw - MARGIN if n >= ENOUGH else torch.inf
        ahead = [path for path in best if best[path] <= limit]
        kept = torch.tensor(sorted(ahead, key=best.__getitem__)[: self.k], dtype=on.dtype)
        logits = -(n**0.5) * loss
        logits[~torch.isin(on, kept) & (on >= 0)] = -torch.inf
        return torch.softmax(logits, dim=0).float()
