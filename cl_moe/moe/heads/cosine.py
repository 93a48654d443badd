"""Cosines between features and one vector per class."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.moe.blocks import OWN, Block
from cl_moe.moe.heads.base import Head

__all__ = ("CosineHead",)


class CosineHead(Head):
    r"""Outputs :math:`\eta \cos(w_c, x)`, which do not depend on the norm of the features.

    Hou et al. 2019, "Learning a unified classifier incrementally via rebalancing" (LUCIR), eq. 4:
    the outputs of classes learned at different times have the same magnitude. :math:`\eta` is
    learned.

    Args:
        in_features: length D of the features.
        n_outputs: number of outputs C.

    >>> head = CosineHead(2, 3)
    >>> x = torch.rand(5, 2)
    >>> torch.allclose(head({OWN: x}), head({OWN: 7 * x}), atol=1e-5)
    True
    """

    blocks = (OWN,)
    fits = False

    def __init__(self, in_features: int, n_outputs: int) -> None:
        super().__init__()
        self.weight = nn.Linear(in_features, n_outputs, bias=False).weight
        self.scale = nn.Parameter(torch.tensor(10.0))

    @property
    def n_outputs(self) -> int:
        """Number of outputs C."""
        return len(self.weight)

    def forward(self, values: Mapping[Block, Tensor]) -> Tensor:
        """Return the outputs (B, C) for features (B, D)."""
        return self.scale * F.linear(F.normalize(values[OWN]), F.normalize(self.weight))

    def select(self, outputs: Sequence[int]) -> CosineHead:
        """Return a copy whose output c is this head's output ``outputs[c]``."""
        return self._with(self.weight[list(outputs)])

    def widened(self, n_outputs: int) -> CosineHead:
        """Return a head with further, randomly initialised outputs and unchanged first ones."""
        more = CosineHead(self.weight.shape[1], n_outputs).to(self.weight.device)
        return self._with(torch.cat([self.weight, more.weight[self.n_outputs :]]))

    @classmethod
    def restored(cls, plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> CosineHead:
        """Return a head with the tensors given."""
        made = cls.__new__(cls)
        nn.Module.__init__(made)
        made.weight = nn.Parameter(tensors["weight"].detach().clone())
        made.scale = nn.Parameter(tensors["scale"].detach().clone())
        return made

    def _with(self, weight: Tensor) -> CosineHead:
        return CosineHead.restored({}, {"weight": weight, "scale": self.scale})
