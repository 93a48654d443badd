"""Avalanche's A-GEM with a memory of tensors, which can be copied, saved and restored."""

from __future__ import annotations

import random
from typing import Any

import torch
from avalanche.training.plugins import AGEMPlugin
from torch import Tensor

from cl_moe.moe.normalisation import needs_two
from cl_moe.state import State, merged, part_of
from cl_moe.training.samples import samples

__all__ = ("TensorAGEM",)

Columns = tuple[Tensor, ...]
"""Inputs, labels and task labels of the rows of one task."""


class TensorAGEM(AGEMPlugin):
    """A-GEM whose memory holds the rows as tensors.

    Chaudhry et al. 2019, "Efficient lifelong learning with A-GEM". Rows and random numbers are
    those of Avalanche's plugin, which passes through the kept rows in a fixed order, and whose
    position is inside iterators, which can be neither copied nor saved. Where the model needs two
    rows per batch, a single row of the memory is joined with the next ones.

    Args:
        patterns_per_experience: rows that are kept of each experience.
        sample_size: rows per sample, divided equally among the experiences.
    """

    buffers: list[Columns]

    def __init__(self, patterns_per_experience: int, sample_size: int) -> None:
        super().__init__(patterns_per_experience, sample_size)
        self._next: list[int] = []  # of each experience
        self._pairs = False

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Store whether the model needs two rows per batch."""
        self._pairs = needs_two(strategy.model)

    def update_memory(self, dataset: Any, num_workers: int = 0, **kwargs: Any) -> None:
        """Add rows of the finished experience to the memory."""
        columns = samples(dataset)
        if len(dataset) > self.patterns_per_experience:
            rows = list(range(len(dataset)))
            random.shuffle(rows)
            chosen = torch.tensor(rows[: self.patterns_per_experience])
            columns = tuple(column[chosen] for column in columns)  # type: ignore[assignment]
        self.buffers.append(columns)
        self._next = []

    def sample_from_memory(self) -> list[Tensor]:
        """Return a batch of the memory: inputs, labels, task labels."""
        batch = self._batch()
        while self._pairs and len(batch[0]) == 1:
            batch = [torch.cat(both) for both in zip(batch, self._batch(), strict=True)]
        return batch

    def _batch(self) -> list[Tensor]:
        """Return the next rows of every experience, fewer at the end of a pass."""
        size = self.sample_size // len(self.buffers)
        if not self._next:
            torch.empty((), dtype=torch.int64).random_()  # PyTorch's loader draws a seed
            self._next = [0] * len(self.buffers)
        parts = []
        for number, columns in enumerate(self.buffers):
            start = self._next[number] if self._next[number] < len(columns[0]) else 0
            self._next[number] = start + size
            parts.append([column[start : start + size] for column in columns])
        return [torch.cat(columns) for columns in zip(*parts, strict=True)]

    def state(self) -> State:
        """Return the memory, and the position in it."""
        parts = {
            str(number): State({}, {str(k): column.clone() for k, column in enumerate(columns)})
            for number, columns in enumerate(self.buffers)
        }
        return merged({"own": State({"next": list(self._next)}), "memory": merged(parts)})

    def restore(self, state: State) -> None:
        """Restore the result of :meth:`state`."""
        memory = part_of(state, "memory")
        parts = [part_of(memory, str(number)).tensors for number in range(len(memory.plain))]
        self.buffers = [tuple(held[str(k)] for k in range(len(held))) for held in parts]
        self._next = list(part_of(state, "own").plain["next"])
