"""An ensemble of closed-form answers on earlier paths, as one linear map of named features."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.moe.blocks import Block
from cl_moe.moe.heads.base import Head
from cl_moe.moe.symmetry import Symmetry

__all__ = ("EnsembleHead",)


class EnsembleHead(Head):
    """One linear map of blocks of earlier paths: the pool of several closed-form answers.

    A logarithmic opinion pool p(y|x) ~ prod_s p_s(y|x)^w_s (Genest & Zidek 1986, eq. 3.11) of
    softmax-linear answers is itself softmax-linear: its logits are the weighted sum of theirs. So
    however many answers are pooled, a row costs one pass through each path and one matrix product a
    block.

    Args:
        weights: for each block, what its values are multiplied by, (C, D_b).
        bias: (C,).
        shares: weight of each path, by the task that it belongs to (-1: the raw input); they sum
            to 1.

    >>> from cl_moe.moe.blocks import RAW
    >>> head = EnsembleHead({RAW: torch.eye(2)}, torch.zeros(2), {-1: 1.0})
    >>> head({RAW: torch.tensor([[3.0, 4.0]])}).tolist()
    [[3.0, 4.0]]
    """

    def __init__(
        self, weights: Mapping[Block, Tensor], bias: Tensor, shares: Mapping[int, float]
    ) -> None:
        super().__init__()
        self.blocks = list(weights)
        self.weights = nn.ParameterList(nn.Parameter(w.detach().clone()) for w in weights.values())
        self.bias = nn.Parameter(bias.detach().clone())
        self.shares = dict(shares)

    @property
    def n_outputs(self) -> int:
        """Number of outputs C."""
        return len(self.bias)

    @property
    def sources(self) -> Mapping[int, float]:
        """The tasks whose paths are read (-1: the raw input), and the weight of each."""
        return self.shares

    def forward(self, values: Mapping[Block, Tensor]) -> Tensor:
        """Return logits (B, C) from the values of the blocks, each (B, D_b)."""
        logits: Tensor = self.bias
        for block, weight in zip(self.blocks, self.weights, strict=True):
            value = values[block]
            if value.shape[1] > weight.shape[1]:  # answers of a task that got more classes since
                value = value[:, : weight.shape[1]]
            logits = logits + F.linear(value, weight)
        return logits

    def describe(self) -> dict[str, Any]:
        """Return the blocks and the shares."""
        blocks = [
            [task, part, None if symmetry is None else list(symmetry)]
            for task, part, symmetry in self.blocks
        ]
        return {"blocks": blocks, "shares": [[t, share] for t, share in self.shares.items()]}

    @classmethod
    def restored(cls, plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> EnsembleHead:
        """Return a head from what :meth:`describe` and ``state_dict`` gave."""
        weights = {
            Block(task, part, None if symmetry is None else Symmetry(*symmetry)): tensors[
                f"weights.{number}"
            ]
            for number, (task, part, symmetry) in enumerate(plain["blocks"])
        }
        return cls(weights, tensors["bias"], {int(t): float(s) for t, s in plain["shares"]})

    def select(self, outputs: Sequence[int]) -> EnsembleHead:
        """Return a copy whose output c is this head's output ``outputs[c]``."""
        rows = list(outputs)
        weights = {b: w[rows] for b, w in zip(self.blocks, self.weights, strict=True)}
        return EnsembleHead(weights, self.bias[rows], self.shares)

    def widened(self, n_outputs: int) -> EnsembleHead:
        """Return a head with further outputs, the first ones as they are here.

        A new output begins at the mean of the others, as a class that nothing tells yet.

        >>> from cl_moe.moe.blocks import RAW
        >>> head = EnsembleHead({RAW: torch.eye(2)}, torch.zeros(2), {-1: 1.0}).widened(3)
        >>> head({RAW: torch.tensor([[3.0, 4.0]])}).tolist()
        [[3.0, 4.0, 3.5]]
        """
        more = n_outputs - self.n_outputs
        weights = {b: _more(w, more) for b, w in zip(self.blocks, self.weights, strict=True)}
        return EnsembleHead(weights, _more(self.bias, more), self.shares)


def _more(values: Tensor, rows: int) -> Tensor:
    """Return values with their mean appended so many times."""
    return torch.cat([values, values.mean(0, keepdim=True).expand(rows, *values.shape[1:])])
