"""LoRA experts: low-rank updates of a linear map or a convolution."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from cl_moe.moe.experts.base import HostExpert, Shape

__all__ = ("LoRAExpert",)


class LoRAExpert(HostExpert):
    r"""Adds :math:`\frac{\alpha}{r} B A x` to the host's output for x.

    Hu et al. 2022, "LoRA: Low-rank adaptation of large language models", eq. 3. B is initialised to
    zero, so that a new expert does not change the host's output. For a convolution, A is a
    convolution with the same kernel to r channels and B a 1 x 1 convolution.

    Args:
        rank: r.
        alpha: scale of the update; r by default.

    >>> host, x = nn.Linear(4, 3), torch.rand(5, 4)
    >>> expert = LoRAExpert(rank=2).make(host, (4,), (3,))
    >>> expert(x).shape, bool((expert(x) == 0).all())
    (torch.Size([5, 3]), True)
    """

    placement = "add"

    def __init__(self, rank: int = 8, alpha: float | None = None) -> None:
        if rank < 1:
            raise ValueError(f"rank: {rank} must be 1 or more")
        self.rank, self.alpha = rank, float(rank if alpha is None else alpha)

    def make(self, host: nn.Module, in_shape: Shape, out_shape: Shape) -> nn.Module:
        """Return an update of the host that is initialised to zero.

        Raises:
            ValueError: the host is neither linear nor a convolution.
        """
        if isinstance(host, nn.Linear):
            down: nn.Module = nn.Linear(host.in_features, self.rank, bias=False)
            up: nn.Module = nn.Linear(self.rank, host.out_features, bias=False)
        elif isinstance(host, nn.Conv2d) and host.groups == 1:
            down = nn.Conv2d(
                host.in_channels,
                self.rank,
                host.kernel_size,  # type: ignore[arg-type]
                host.stride,  # type: ignore[arg-type]
                host.padding,  # type: ignore[arg-type]
                host.dilation,  # type: ignore[arg-type]
                bias=False,
            )
            up = nn.Conv2d(self.rank, host.out_channels, 1, bias=False)
        else:
            raise ValueError(
                f"it is a {type(host).__name__}, and LoRA changes a Linear or a Conv2d (groups 1); "
                "name such modules inside it, or give expert = 'adapter' or 'copy'"
            )
        return LowRank(down, up, self.alpha / self.rank)


class LowRank(nn.Module):
    """scale * up(down(x)); ``up`` is initialised to zero."""

    def __init__(self, down: nn.Module, up: nn.Module, scale: float) -> None:
        super().__init__()
        self.down, self.up, self.scale = down, up, scale
        weight = down.weight
        assert isinstance(weight, Tensor)
        nn.init.kaiming_uniform_(weight, a=math.sqrt(5))
        for parameter in up.parameters():
            nn.init.zeros_(parameter)

    def forward(self, x: Tensor) -> Tensor:
        """Return the update of the host's output."""
        change: Tensor = self.up(self.down(x))
        return self.scale * change

    def product(self) -> Tensor:
        """Return B A, scaled: the change of a linear host's weight (out, in)."""
        down, up = self.down.weight, self.up.weight
        assert isinstance(down, Tensor)
        assert isinstance(up, Tensor)
        return self.scale * torch.einsum("or...,r...->o...", up.flatten(1), down)
