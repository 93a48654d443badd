"""Dispatch of rows sorted by expert.

Shape letters: B rows, K experts per row.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from cl_moe.moe.dispatch.grouped import grouped
from cl_moe.moe.routing import Routing, weighted_sums

__all__ = ("Dispatch", "combine")

Dispatch = Literal["sorted", "grouped"]
"""The kind of dispatch, see :class:`~cl_moe.moe.layer.MoELayer`."""


def combine(
    x: Tensor, routing: Routing, experts: Sequence[nn.Module], dispatch: Dispatch = "sorted"
) -> Tensor:
    """Return the weighted sums of the chosen experts' outputs, (B, *out_shape).

    With ``sorted`` dispatch, experts without rows are not run and get no gradient.

    >>> routing = Routing(torch.tensor([[0.5], [1.0]]), torch.tensor([[0], [1]]))
    >>> combine(torch.tensor([[2.0], [-2.0]]), routing, [nn.Identity(), nn.ReLU()]).tolist()
    [[1.0], [0.0]]
    """
    if routing.shared and len(experts) == 1:
        return experts[0](x)  # type: ignore[no-any-return]
    if dispatch == "grouped":
        return grouped(x, routing, experts)
    return (_shared_choice if routing.shared else _by_row)(x, routing, experts)


def _shared_choice(x: Tensor, routing: Routing, experts: Sequence[nn.Module]) -> Tensor:
    """All rows go to the same experts: call each directly, nothing to sort."""
    parts = [
        weight * experts[chosen](x)
        for weight, chosen in zip(routing.weights[0], routing.chosen[0].tolist(), strict=True)
    ]
    return torch.stack(parts).sum(0)


def _by_row(x: Tensor, routing: Routing, experts: Sequence[nn.Module]) -> Tensor:
    """Sort the (row, expert) pairs by expert, so that each expert sees its rows at once."""
    ordered, order = routing.chosen.flatten().sort(stable=True)
    rows = order // routing.chosen.shape[1]
    present, counts = ordered.unique_consecutive(return_counts=True)
    # One gather cut into pieces: its gradient is one scatter, not one as large as x an expert.
    parts = x.index_select(0, rows).split(counts.tolist())
    y = torch.cat([experts[e](part) for e, part in zip(present.tolist(), parts, strict=True)])
    return weighted_sums(y, routing, order, len(x))
