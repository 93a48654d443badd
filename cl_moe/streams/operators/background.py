"""A coloured background."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from cl_moe.errors import InputError
from cl_moe.seeding import generator
from cl_moe.streams.operators.base import Operator, image_problem, map_inputs
from cl_moe.streams.task import Task

__all__ = ("Background",)


@dataclass(frozen=True)
class Background(Operator):
    """Colours the dark parts of images: x + (max - x) * colour, max the brightest value.

    Veniat et al. 2021 (the first and last task of the CTrL stream S_in).

    Args:
        colour: one value in 0..1 per channel; random by default.

    >>> import torch
    >>> task = Task(
    ...     "toy",
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     ("a", "b"),
    ... )
    >>> Background((0.5,))(task).tensors("train")[0][0].flatten().tolist()
    [1.0, 0.5, 0.5, 0.5]
    """

    relation: ClassVar[str] = "shifted input"

    colour: tuple[float, ...] | None = None

    def __post_init__(self) -> None:
        if self.colour is not None and not all(0 <= c <= 1 for c in self.colour):
            raise InputError(f"colour: {list(self.colour)} holds a value outside 0..1")

    def __call__(self, task: Task, seed: int = 0) -> Task:
        """Return the task with the background coloured, the same in training and test images."""
        image_problem(task, "given a background")
        channels = task.shape[0]
        if self.colour is not None and len(self.colour) != channels:
            raise InputError(
                f"task '{task.name}': colour has {len(self.colour)} values for {channels} "
                "channels; give one per channel (or set shape = [3, ...] under [stream])"
            )
        if self.colour is None:
            colour = torch.rand(channels, generator=generator(seed, "background"))
        else:
            colour = torch.tensor(self.colour)
        high = task.tensors("train")[0].max()

        def paint(x: Tensor, _: str) -> Tensor:
            return x + (high - x) * colour.view(1, -1, 1, 1)

        return map_inputs(task, self, paint, "background")
