"""A linear map of the features of the task's own path."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.moe.blocks import OWN, Block
from cl_moe.moe.heads.base import Head

if TYPE_CHECKING:
    from typing_extensions import Self

__all__ = ("LinearHead",)


class LinearHead(Head):
    """W x + b, with the initial values of ``nn.Linear``.

    Args:
        in_features: length D of the features.
        n_outputs: number of outputs C.

    >>> import torch
    >>> head = LinearHead(2, 3)
    >>> head({OWN: torch.zeros(5, 2)}).shape, head.n_outputs
    (torch.Size([5, 3]), 3)
    """

    blocks = (OWN,)

    def __init__(self, in_features: int, n_outputs: int) -> None:
        super().__init__()
        start = nn.Linear(in_features, n_outputs)
        self.weight, self.bias = start.weight, start.bias

    @classmethod
    def of(cls, weight: Tensor, bias: Tensor) -> Self:
        """Return a head with copies of the given parameters; draws no random numbers.

        >>> import torch
        >>> LinearHead.of(torch.eye(2), torch.zeros(2))({OWN: torch.ones(1, 2)}).tolist()
        [[1.0, 1.0]]
        """
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.weight = nn.Parameter(weight.detach().clone())
        made.bias = nn.Parameter(bias.detach().clone())
        return made

    @classmethod
    def restored(cls, plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Self:
        """Return a head with the tensors given."""
        return cls.of(tensors["weight"], tensors["bias"])

    @property
    def n_outputs(self) -> int:
        """Number of outputs C."""
        return len(self.bias)

    def forward(self, values: Mapping[Block, Tensor]) -> Tensor:
        """Return the outputs (B, C) for features (B, D)."""
        return F.linear(values[OWN], self.weight, self.bias)

    def select(self, outputs: Sequence[int]) -> Self:
        """Return a copy whose output c is this head's output ``outputs[c]``.

        >>> import torch
        >>> head = LinearHead(2, 3)
        >>> bool(torch.equal(head.select([2, 0]).weight[0], head.weight[2]))
        True
        """
        rows = list(outputs)
        return type(self).of(self.weight[rows], self.bias[rows])

    def widened(self, n_outputs: int) -> Self:
        """Return a head with further, randomly initialised outputs and unchanged first ones.

        >>> import torch
        >>> wide = (head := LinearHead(2, 2)).widened(3)
        >>> bool(torch.equal(wide.weight[:2], head.weight)), wide.n_outputs
        (True, 3)
        """
        wide = type(self)(self.weight.shape[1], n_outputs).to(self.weight.device)
        wide.weight.data[: self.n_outputs] = self.weight.data
        wide.bias.data[: self.n_outputs] = self.bias.data
        return wide

    def on_features(self) -> nn.Linear:
        """Return the head as an ``nn.Linear`` that shares its parameters.

        >>> LinearHead(2, 3).on_features()
        Linear(in_features=2, out_features=3, bias=True)
        """
        made = nn.Linear(self.weight.shape[1], self.n_outputs, device="meta")
        made.weight, made.bias = self.weight, self.bias
        return made

    def extra_repr(self) -> str:
        """Return the sizes."""
        return f"in_features={self.weight.shape[1]}, n_outputs={self.n_outputs}"
