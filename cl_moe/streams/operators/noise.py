"""Noise on the inputs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from cl_moe.errors import InputError
from cl_moe.seeding import generator
from cl_moe.streams.operators.base import Operator, float_problem, map_inputs
from cl_moe.streams.task import Task

__all__ = ("Noise",)


@dataclass(frozen=True)
class Noise(Operator):
    """Adds Gaussian noise to training and test inputs; inputs in 0..1 are clipped to it.

    Args:
        strength: standard deviation, in units of the inputs.

    >>> import torch
    >>> task = Task(
    ...     "toy",
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     ("a", "b"),
    ... )
    >>> bool((Noise(0.1)(task).tensors("train")[0] != task.tensors("train")[0]).any())
    True
    """

    relation: ClassVar[str] = "noisy input"

    strength: float = 0.3

    def __post_init__(self) -> None:
        if self.strength < 0:
            raise InputError(f"strength: {self.strength} is negative; give 0 or more")

    def __call__(self, task: Task, seed: int = 0) -> Task:
        """Return the task with noisy inputs, drawn once for ``seed``."""
        float_problem(task, "made noisy")

        def add(x: torch.Tensor, split: str) -> torch.Tensor:
            draw = generator(seed, "noise", split)
            noisy = x + self.strength * torch.randn(x.shape, generator=draw)
            return noisy.clamp(0, 1) if x.min() >= 0 and x.max() <= 1 else noisy

        return map_inputs(task, self, add, "noisy")
