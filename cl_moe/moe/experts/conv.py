"""Experts that are small residual convolutional networks."""

from __future__ import annotations

import math
from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.moe.experts.base import ExpertFactory, Shape, StageFactory

__all__ = ("ConvExpert",)


class ConvExpert(ExpertFactory):
    """Residual blocks that halve the image, then one linear layer to the features.

    Blocks follow He et al. 2016 (eq. 1), with a strided convolution in front and without
    normalisation (``resnet`` has it, and is stronger and slower).

    Args:
        channels: channels of each block.
        feature_dim: width of the features.

    >>> import torch
    >>> from cl_moe.moe.experts.base import cut
    >>> (trunk,) = cut(ConvExpert(channels=[4, 8], feature_dim=16).stages(), 1)
    >>> trunk((1, 8, 8))(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 16])
    """

    def __init__(self, channels: Sequence[int] = (16, 32), feature_dim: int = 64) -> None:
        if not channels or min(channels) < 1:
            raise ValueError(f"channels: {list(channels)} needs one number or more, each 1 or more")
        if feature_dim < 1:
            raise ValueError(f"feature_dim: {feature_dim} must be 1 or more")
        self.channels = tuple(channels)
        self.feature_dim = feature_dim

    def stages(self) -> list[StageFactory]:
        """Return one stage per block and one for the linear layer."""
        return [*(_BlockStage(c) for c in self.channels), _LinearStage(self.feature_dim)]

    def widened(self, factor: float) -> ConvExpert:
        """Return the same network with more channels and features."""
        return ConvExpert(
            [max(1, round(c * factor)) for c in self.channels],
            max(1, round(self.feature_dim * factor)),
        )


class ResidualBlock(nn.Module):
    """h = relu(conv(x) with stride 2), y = relu(h + conv(h)); (B, C, H, W) to (B, C', H/2, W/2)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.down = nn.Conv2d(in_channels, out_channels, 3, stride=2, padding=1)
        self.same = nn.Conv2d(out_channels, out_channels, 3, padding=1)

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the block's output for a batch of images."""
        h = F.relu(self.down(x_BCHW))
        return F.relu(h + self.same(h))


class _BlockStage:
    def __init__(self, channels: int) -> None:
        self.channels = channels

    def __call__(self, in_shape: Shape) -> nn.Module:
        if len(in_shape) != 3:
            raise ValueError(
                f"convolutional experts need images (channels, height, width), not {in_shape}; "
                "set stream.shape, or use expert kind 'mlp'"
            )
        return ResidualBlock(in_shape[0], self.channels)


class _LinearStage:
    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, in_shape: Shape) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(in_shape), self.width), nn.ReLU())
