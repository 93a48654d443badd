"""Experts that are residual networks with batch normalisation and global pooling."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.moe.experts.base import ExpertFactory, Shape, StageFactory

__all__ = ("ResNetExpert",)


class ResNetExpert(ExpertFactory):
    """A small residual network; its features are the averages of the last channels.

    A stage is a 3 x 3 convolution, batch normalisation, ReLU and 2 x 2 max pooling, which give h,
    and then h + ReLU(BN(conv(h))) (He et al. 2016, eq. 1; the order of layers follows DAWNBench's
    ResNet-9, Coleman et al. 2017). The running statistics of batch normalisation (Ioffe & Szegedy
    2015) belong to the expert and are frozen with it, so that tasks with experts of their own do
    not disturb one another. A dense network has one set of statistics for all tasks.

    Args:
        channels: channels of each stage.

    >>> import torch
    >>> from cl_moe.moe.experts.base import cut
    >>> (trunk,) = cut(ResNetExpert(channels=[4, 8]).stages(), 1)
    >>> trunk((3, 8, 8))(torch.zeros(5, 3, 8, 8)).shape
    torch.Size([5, 8])
    """

    def __init__(self, channels: Sequence[int] = (32, 64, 128)) -> None:
        if not channels or min(channels) < 1:
            raise ValueError(f"channels: {list(channels)} needs one number or more, each 1 or more")
        self.channels = tuple(channels)

    def stages(self) -> list[StageFactory]:
        """Return one stage per number of channels, and the average over the image in the last."""
        return [_StageOf(width, last=n == len(self.channels)) for n, width in
                enumerate(self.channels, 1)]  # fmt: skip

    def widened(self, factor: float) -> ResNetExpert:
        """Return the same network with more channels."""
        return ResNetExpert([max(1, round(width * factor)) for width in self.channels])


class ResidualStage(nn.Module):
    """h = pool(relu(bn(conv(x)))), y = h + relu(bn(conv(h))); (B, C, H, W) to (B, C', H/2, W/2).

    An image of a single row or column of pixels is not pooled.

    Args:
        in_channels: C.
        out_channels: C'.
        pooled: whether there is 2 x 2 max pooling.
        last: whether y is averaged over the image, (B, C').
    """

    def __init__(self, in_channels: int, out_channels: int, pooled: bool, last: bool) -> None:
        super().__init__()
        self.wider = nn.Conv2d(in_channels, out_channels, 3, padding=1, bias=False)
        self.wider_norm = nn.BatchNorm2d(out_channels)
        self.same = nn.Conv2d(out_channels, out_channels, 3, padding=1, bias=False)
        self.same_norm = nn.BatchNorm2d(out_channels)
        self.pooled, self.last = pooled, last

    def forward(self, x_BCHW: Tensor) -> Tensor:
        """Return the stage's output for a batch of images."""
        h = F.relu(self.wider_norm(self.wider(x_BCHW)))
        if self.pooled:
            h = F.max_pool2d(h, 2)
        y = h + F.relu(self.same_norm(self.same(h)))
        return y.mean((2, 3)) if self.last else y


class _StageOf:
    def __init__(self, channels: int, last: bool) -> None:
        self.channels, self.last = channels, last

    def __call__(self, in_shape: Shape) -> nn.Module:
        if len(in_shape) != 3:
            raise ValueError(
                f"residual networks need images (channels, height, width), not {in_shape}; "
                "set stream.shape, or use expert kind 'mlp'"
            )
        pooled = min(in_shape[1:]) > 1
        return ResidualStage(in_shape[0], self.channels, pooled, self.last)
