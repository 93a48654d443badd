"""Experts that are multilayer perceptrons."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

from torch import nn

from cl_moe.moe.experts.base import ExpertFactory, HostExpert, Shape, StageFactory

__all__ = ("MLPExpert",)


class MLPExpert(ExpertFactory, HostExpert):
    """A multilayer perceptron: a linear map and a ReLU per hidden layer; inputs are flattened.

    In a network of another package it replaces a module, with one more linear map from the last
    hidden layer to the module's number of output features; tokens are mapped one by one.

    Args:
        hidden: width of each hidden layer; the last one is the width of the features.

    >>> import torch
    >>> from cl_moe.moe.experts.base import cut
    >>> (trunk,) = cut(MLPExpert(hidden=[32, 16]).stages(), 1)
    >>> trunk((1, 8, 8))(torch.zeros(5, 1, 8, 8)).shape
    torch.Size([5, 16])
    """

    placement = "replace"

    def __init__(self, hidden: Sequence[int] = (64,)) -> None:
        if not hidden or min(hidden) < 1:
            raise ValueError(f"hidden: {list(hidden)} needs one width or more, each 1 or more")
        self.hidden = tuple(hidden)

    def stages(self) -> list[StageFactory]:
        """Return one stage per hidden layer."""
        return [_Stage(width) for width in self.hidden]

    def make(self, host: nn.Module, in_shape: Shape, out_shape: Shape) -> nn.Module:
        """Return a perceptron between the widths of the host's input and output.

        Raises:
            ValueError: the host changes the number of tokens, or works on images.
        """
        if len(in_shape) == 3 or in_shape[:-1] != out_shape[:-1]:
            raise ValueError(
                f"it makes {out_shape} of {in_shape}, and a perceptron maps vectors or tokens; "
                "give expert = 'copy' or 'adapter'"
            )
        widths = (in_shape[-1], *self.hidden)
        layers: list[nn.Module] = []
        for before, after in pairwise(widths):
            layers += [nn.Linear(before, after), nn.ReLU()]
        return nn.Sequential(*layers, nn.Linear(widths[-1], out_shape[-1]))

    def widened(self, factor: float) -> MLPExpert:
        """Return the same perceptron with wider hidden layers."""
        return MLPExpert([max(1, round(width * factor)) for width in self.hidden])


class _Stage:
    def __init__(self, width: int) -> None:
        self.width = width

    def __call__(self, in_shape: Shape) -> nn.Module:
        linear = nn.Linear(math.prod(in_shape), self.width)
        flatten = [nn.Flatten()] if len(in_shape) > 1 else []
        return nn.Sequential(*flatten, linear, nn.ReLU())
