"""Rotation of images."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_moe.errors import InputError
from cl_moe.parameters import LARGEST
from cl_moe.streams.operators.base import Operator, image_problem, map_inputs
from cl_moe.streams.task import Task

__all__ = ("Rotate",)


@dataclass(frozen=True)
class Rotate(Operator):
    """Rotates images (C, H, W) counter-clockwise; the corners are filled with 0.

    Quarter turns of square images are exact, all others are bilinear.

    Args:
        degrees: the angle.

    >>> import torch
    >>> task = Task(
    ...     "toy",
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     ("a", "b"),
    ... )
    >>> Rotate(90)(task).tensors("train")[0][0, 0].tolist()
    [[0.0, 0.0], [1.0, 0.0]]
    """

    relation: ClassVar[str] = "rotated input"

    degrees: float

    def __post_init__(self) -> None:
        if not abs(self.degrees) <= LARGEST:  # NaN neither
            raise InputError(f"degrees: {self.degrees} is not an angle; give -360 to 360")

    def __call__(self, task: Task, seed: int = 0) -> Task:
        """Return the task with rotated images."""
        image_problem(task, "rotated")
        return map_inputs(task, self, lambda x, _: self._turn(x), f"rotated-{self.degrees:g}")

    def _turn(self, x: Tensor) -> Tensor:
        turns, rest = divmod(self.degrees, 90)
        if rest == 0 and (x.shape[2] == x.shape[3] or turns % 2 == 0):
            return torch.rot90(x, int(turns), dims=(2, 3)).contiguous()
        angle, ratio = math.radians(self.degrees), x.shape[2] / x.shape[3]
        cos, sin = math.cos(angle), math.sin(angle)
        # affine_grid's coordinates run from -1 to 1 on either side, so the ratio undoes the stretch
        theta = x.new_tensor([[cos, -sin * ratio, 0.0], [sin / ratio, cos, 0.0]])
        grid = F.affine_grid(theta.expand(len(x), 2, 3), list(x.shape), align_corners=False)
        return F.grid_sample(x, grid, align_corners=False)
