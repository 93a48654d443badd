"""A gate's result. Shape letters: B rows of a batch, E experts on offer, K experts chosen."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn import functional as F

__all__ = ("Routing", "balance_loss", "top_k", "weighted_sums", "z_loss")


@dataclass(frozen=True)
class Routing:
    """The experts chosen for a batch, and their weights.

    Attributes:
        weights: (B, K), or (1, K) where all rows of the task share one choice.
        chosen: same shape, int64; positions in the list of experts on offer.
        losses: auxiliary losses, scalars already scaled; empty where there is none.
    """

    weights: Tensor
    chosen: Tensor
    losses: dict[str, Tensor] = field(default_factory=dict)

    @property
    def shared(self) -> bool:
        """Whether one choice serves every row."""
        return self.weights.shape[0] == 1

    def usage(self, experts: int) -> Tensor:
        """Return the mean weight of each of ``experts`` experts, shape (E,), summing to 1 or less.

        >>> Routing(torch.tensor([[0.75, 0.25]]), torch.tensor([[2, 0]])).usage(3).tolist()
        [0.25, 0.0, 0.75]
        """
        total = torch.zeros(experts, dtype=self.weights.dtype, device=self.weights.device)
        total.index_add_(0, self.chosen.flatten(), self.weights.detach().flatten())
        return total / self.weights.shape[0]


def top_k(logits_BE: Tensor, k: int, losses: dict[str, Tensor] | None = None) -> Routing:
    """Choose the k best experts of each row.

    For k > 1 the weights are the softmax over the chosen logits (Shazeer et al. 2017, eq. 3-5).
    For k = 1 that would be the constant 1, from which no gate can learn: the weight is then the
    probability of the chosen expert under the full softmax (Fedus et al. 2022, eq. 2).

    Args:
        logits_BE: (B, E) or (1, E).
        k: experts per row; all where k exceeds E.
        losses: auxiliary losses to pass on.

    >>> routing = top_k(torch.tensor([[2.0, 0.0, 1.0]]), k=2)
    >>> routing.chosen.tolist(), [round(w, 3) for w in routing.weights[0].tolist()]
    ([[0, 2]], [0.731, 0.269])
    >>> round(top_k(torch.tensor([[2.0, 0.0, 1.0]]), k=1).weights.item(), 3)
    0.665
    """
    k = min(k, logits_BE.shape[-1])
    best, chosen = logits_BE.float().topk(k, dim=-1)
    if k == 1:
        weights = F.softmax(logits_BE.float(), dim=-1).gather(-1, chosen)
    else:
        weights = F.softmax(best, dim=-1)
    return Routing(weights, chosen, losses or {})


def weighted_sums(y: Tensor, routing: Routing, order: Tensor, rows: int) -> Tensor:
    """Return each row's weighted sum of its experts' outputs, (B, *out_shape).

    Args:
        y: (B * K, *out_shape), outputs for the (row, expert) pairs in the order ``order``.
        routing: per row, weights (B, K).
        order: (B * K,), the number of each output's pair, counted row by row.
        rows: the number of rows B.

    >>> routing = Routing(torch.tensor([[0.5], [2.0]]), torch.tensor([[1], [0]]))
    >>> weighted_sums(torch.tensor([[1.0], [4.0]]), routing, torch.tensor([1, 0]), rows=2).tolist()
    [[2.0], [2.0]]
    """
    weight = routing.weights.flatten().index_select(0, order).view(-1, *[1] * (y.dim() - 1))
    empty = torch.zeros(rows, *y.shape[1:], dtype=y.dtype, device=y.device)
    return empty.index_add(0, order // routing.chosen.shape[1], y * weight.to(y.dtype))


def balance_loss(logits_BE: Tensor) -> Tensor:
    """Return E * sum_e F_e P_e of Fedus et al. 2022 (eq. 4): 1 when balanced, up to E when not.

    F_e is the share of rows whose first choice is e (no gradient), P_e the mean probability of e.

    >>> round(balance_loss(torch.tensor([[5.0, 0.0], [0.0, 5.0]])).item(), 3)
    1.0
    >>> round(balance_loss(torch.tensor([[50.0, 0.0], [50.0, 0.0]])).item(), 3)
    2.0
    """
    experts = logits_BE.shape[-1]
    first = F.one_hot(logits_BE.argmax(-1), experts).float().mean(0)
    return experts * (first * F.softmax(logits_BE.float(), dim=-1).mean(0)).sum()


def z_loss(logits_BE: Tensor) -> Tensor:
    """Return mean(logsumexp(z)^2) of Zoph et al. 2022 (eq. 5), which keeps logits small.

    >>> round(z_loss(torch.zeros(4, 2)).item(), 4)
    0.4805
    """
    return logits_BE.float().logsumexp(-1).square().mean()
