"""Rows of blocks: some of them, and scaled for regression.

Shape letters: N rows, D values of a block, V of them that vary, C classes.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from cl_moe.moe.blocks import Block

__all__ = ("Scaled", "SomeRows", "Values", "evenly", "evidence_rows", "scaled")

EVIDENCE_ROWS = 256
"""Examples that are looked at for evidence: an eigendecomposition costs their number cubed."""


class Values(Protocol):
    """Values of blocks on some rows of a task, each (N, D); they may be read when asked for."""

    def __getitem__(self, block: Block, /) -> Tensor:
        """Return a block's values."""


class SomeRows:
    """Some rows of values, which are read whole.

    >>> SomeRows({Block(0): torch.eye(3)}, torch.tensor([2]))[Block(0)].tolist()
    [[0.0, 0.0, 1.0]]
    """

    def __init__(self, values: Values, rows: Tensor) -> None:
        self._values, self._rows = values, rows

    def __getitem__(self, block: Block, /) -> Tensor:
        """Return a block's values on those rows."""
        return self._values[block][self._rows]


class Scaled(NamedTuple):
    """Values of a block with mean 0 and mean square length 1.

    Attributes:
        mean: the values' own mean (D,).
        scale: what they were divided by.
        varying: (D,), the values that are not the same in all rows. The others get no weight in
            ridge regression, and are left out: the rim of an image, what a short text leaves empty.
        rows: (N, V), the scaled values that vary.
    """

    mean: Tensor
    scale: Tensor
    varying: Tensor
    rows: Tensor

    def unscaled(self, weight_CV: Tensor) -> Tensor:
        """Return weights (C, D) of the values as they were, from those of the scaled ones."""
        weight = weight_CV.new_zeros(len(weight_CV), len(self.varying))
        weight[:, self.varying] = weight_CV / self.scale
        return weight


def scaled(x_ND: Tensor) -> Scaled:
    """Return the values of a block scaled.

    >>> found = scaled(torch.tensor([[5.0, 1.0], [5.0, 3.0]]))
    >>> found.rows.tolist(), found.unscaled(torch.tensor([[2.0]])).tolist()
    ([[-1.0], [1.0]], [[0.0, 2.0]])
    """
    varying = (x_ND != x_ND[0]).any(0)
    mean = x_ND.double().mean(0)
    x = (x_ND - mean.float())[:, varying]
    scale = x.double().square().sum(1).mean().sqrt().clamp_min(1e-9)
    return Scaled(mean, scale, varying, x / scale.float())


def evidence_rows(n: int) -> Tensor:
    """Return which of n rows are looked at for evidence: evenly spread, in case they are sorted.

    >>> len(evidence_rows(9)), evidence_rows(511)[:3].tolist()
    (9, [0, 2, 4])
    """
    return evenly(n, EVIDENCE_ROWS)


def evenly(n: int, most: int) -> Tensor:
    """Return which of n rows to take, ``most`` at most, evenly spread.

    >>> evenly(9, 3).tolist(), evenly(2, 3).tolist()
    ([0, 4, 8], [0, 1])
    """
    return torch.linspace(0, n - 1, min(n, most)).round().long()
