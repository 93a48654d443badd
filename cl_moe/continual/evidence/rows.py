"""Selected and scaled rows of blocks, for regression.

Shape letters: N rows, D values of a block, V of them that vary, C classes.
"""

from __future__ import annotations

from typing import NamedTuple, Protocol

import torch
from torch import Tensor

from cl_moe.moe.blocks import Block

__all__ = ("Scaled", "SomeRows", "Values", "evenly", "evidence_rows", "scaled")

EVIDENCE_ROWS = 256
"""Number of examples for evidence; the cost of an eigendecomposition is cubic in it."""


class Values(Protocol):
    """Values of blocks on some rows of a task, each (N, D); they may be computed on access."""

    def __getitem__(self, block: Block, /) -> Tensor:
        """Return a block's values."""


class SomeRows:
    """A selection of the rows of values.

    >>> SomeRows({Block(0): torch.eye(3)}, torch.tensor([2]))[Block(0)].tolist()
    [[0.0, 0.0, 1.0]]
    """

    def __init__(self, values: Values, rows: Tensor) -> None:
        self._values, self._rows = values, rows

    def __getitem__(self, block: Block, /) -> Tensor:
        """Return a block's values on the selected rows."""
        return self._values[block][self._rows]


class Scaled(NamedTuple):
    """Values of a block with mean 0 and mean square length 1.

    Attributes:
        mean: the values' own mean (D,).
        scale: the divisor.
        varying: (D,), mask of the values that vary between rows. Constant values get no weight in
            ridge regression and are left out, such as the rim of an image or the padding of short
            texts.
        rows: (N, V), the scaled values that vary.
    """

    mean: Tensor
    scale: Tensor
    varying: Tensor
    rows: Tensor

    def unscaled(self, weight_CV: Tensor) -> Tensor:
        """Return weights (C, D) of the unscaled values, from the weights of the scaled ones."""
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
    """Return the positions of the rows for evidence: evenly spread, in case rows are sorted.

    >>> len(evidence_rows(9)), evidence_rows(511)[:3].tolist()
    (9, [0, 2, 4])
    """
    return evenly(n, EVIDENCE_ROWS)


def evenly(n: int, most: int) -> Tensor:
    """Return the positions of at most ``most`` of n rows, evenly spread.

    >>> evenly(9, 3).tolist(), evenly(2, 3).tolist()
    ([0, 4, 8], [0, 1])
    """
    return torch.linspace(0, n - 1, min(n, most)).round().long()
