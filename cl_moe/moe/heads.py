"""Heads: from features to the classes of one task."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.moe.symmetry import Lens

__all__ = ("RAW", "Block", "EvidenceHead", "linear_of", "take_over")


class Block(NamedTuple):
    """Something that earlier paths make of a row, for another task's head to read.

    Attributes:
        task: the earlier task whose path is read; -1 for the raw input.
        part: the path's ``"features"``, its ``"answers"`` (class probabilities), its
            ``"log answers"``, or the output of its stage of that number (images are averaged over
            2 x 2 pixels).
        lens: what images are looked at through before they enter the path; None for nothing.
    """

    task: int
    part: str | int = "features"
    lens: Lens | None = None


RAW = Block(-1)
"""The raw input, behind the encoder where there is one."""


class EvidenceHead(nn.Module):
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

    >>> import torch
    >>> head = EvidenceHead({RAW: torch.eye(2)}, torch.zeros(2), {-1: 1.0})
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
    def n_classes(self) -> int:
        """Number of classes."""
        return len(self.bias)

    def forward(self, values: Mapping[Block, Tensor]) -> Tensor:
        """Return logits (B, C) from the values of the blocks, each (B, D_b)."""
        logits: Tensor = self.bias
        for block, weight in zip(self.blocks, self.weights, strict=True):
            logits = logits + F.linear(values[block], weight)
        return logits


def take_over(head: nn.Module, classes: Sequence[int]) -> nn.Module:
    """Return a copy of a head whose output c is the old head's output ``classes[c]``.

    >>> import torch
    >>> old = nn.Linear(2, 3)
    >>> new = take_over(old, [2, 0])
    >>> bool(torch.equal(new.weight[0], old.weight[2]))
    True
    """
    rows = list(classes)
    if isinstance(head, EvidenceHead):
        weights = {b: w[rows] for b, w in zip(head.blocks, head.weights, strict=True)}
        return EvidenceHead(weights, head.bias[rows], head.shares)
    assert isinstance(head, nn.Linear)
    return linear_of(head.weight[rows], head.bias[rows])


def linear_of(weight: Tensor, bias: Tensor) -> nn.Linear:
    """Return a linear map with copies of the given parameters; draws no random numbers.

    >>> import torch
    >>> linear_of(torch.eye(2), torch.zeros(2))(torch.tensor([3.0, 4.0])).tolist()
    [3.0, 4.0]
    """
    made = nn.Linear(weight.shape[1], weight.shape[0], device="meta")
    made.weight = nn.Parameter(weight.detach().clone())
    made.bias = nn.Parameter(bias.detach().clone())
    return made
