"""Adapter experts: bottlenecks after the host."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.moe.experts.base import HostExpert, Shape

__all__ = ("AdapterExpert",)


class AdapterExpert(HostExpert):
    """Adds up(gelu(down(h))) to the host's output h, for any host.

    Houlsby et al. 2019, "Parameter-efficient transfer learning for NLP", section 2. The last map is
    initialised to zero, so that a new expert does not change the host's output. On images the maps
    act on channels, pixel by pixel.

    Args:
        width: of the bottleneck.

    >>> import torch
    >>> expert = AdapterExpert(width=2).make(nn.Identity(), (4,), (4,))
    >>> bool((expert(torch.rand(5, 4)) == 0).all())
    True
    """

    placement = "output"

    def __init__(self, width: int = 32) -> None:
        if width < 1:
            raise ValueError(f"width: {width} must be 1 or more")
        self.width = width

    def make(self, host: nn.Module, in_shape: Shape, out_shape: Shape) -> nn.Module:
        """Return a bottleneck for the host's output."""
        images = len(out_shape) == 3
        return Bottleneck(out_shape[0] if images else out_shape[-1], self.width, images)


class Bottleneck(nn.Module):
    """up(gelu(down(h))) over the last dimension, or over channels; ``up`` begins at zero."""

    def __init__(self, features: int, width: int, images: bool) -> None:
        super().__init__()
        self.images = images
        self.down, self.up = nn.Linear(features, width), nn.Linear(width, features)
        for parameter in self.up.parameters():
            nn.init.zeros_(parameter)

    def forward(self, h: Tensor) -> Tensor:
        """Return the term that is added to the host's output."""
        z = h.movedim(1, -1) if self.images else h
        change: Tensor = self.up(F.gelu(self.down(z)))
        return change.movedim(-1, 1) if self.images else change
