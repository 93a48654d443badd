"""Permutation of pixels."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch

from cl_moe.seeding import derive, generator
from cl_moe.streams.operators.base import Operator, map_inputs
from cl_moe.streams.task import Task

__all__ = ("PermutePixels",)


@dataclass(frozen=True)
class PermutePixels(Operator):
    """Permutes all inputs by one random permutation, as in Permuted MNIST.

    Goodfellow et al. 2013. The pixels of images are permuted, all channels alike.

    Args:
        key: each key has its own permutation; by default it is drawn from the seed.

    >>> import torch
    >>> task = Task(
    ...     "toy",
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     (torch.eye(4).view(4, 1, 2, 2), [0, 1, 0, 1]),
    ...     ("a", "b"),
    ... )
    >>> PermutePixels()(task).tensors("train")[0].sum().item()
    4.0
    """

    relation: ClassVar[str] = "permuted pixels"

    key: int | None = None

    def permutation(self, size: int, seed: int) -> torch.Tensor:
        """Return the order (size,) of the pixels."""
        start = seed if self.key is None else derive(self.key, "key")
        return torch.randperm(size, generator=generator(start, "permute_pixels"))

    def __call__(self, task: Task, seed: int = 0) -> Task:
        """Return the task with its pixels (or features) permuted."""
        channels = task.shape[0] if len(task.shape) == 3 else 1
        size = torch.Size(task.shape).numel() // channels
        order = self.permutation(size, seed)

        def permute(x: torch.Tensor, _: str) -> torch.Tensor:
            return x.reshape(-1, size).index_select(1, order).reshape(x.shape)

        return map_inputs(task, self, permute, "permuted")
