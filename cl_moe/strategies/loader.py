"""Batches straight from tensors, where an Avalanche data set is nothing but tensors."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

__all__ = ("TensorLoader", "tensors_of")


class TensorLoader:
    """Yields ``[x, y, task labels]`` batches by indexing tensors: no sample is fetched alone.

    Args:
        tensors: x (N, ...), y (N,), task labels (N,).
        batch_size: rows a batch; the last one may be smaller.
        shuffle: whether each pass draws a new order from torch's global generator.
    """

    def __init__(
        self, tensors: tuple[Tensor, Tensor, Tensor], batch_size: int, shuffle: bool
    ) -> None:
        self.tensors, self.batch_size, self.shuffle = tensors, batch_size, shuffle

    def __len__(self) -> int:
        return -(-len(self.tensors[1]) // self.batch_size)

    def __iter__(self) -> Iterator[list[Tensor]]:
        n = len(self.tensors[1])
        if not self.shuffle:
            for start in range(0, n, self.batch_size):
                yield [tensor[start : start + self.batch_size] for tensor in self.tensors]
            return
        for rows in torch.randperm(n).split(self.batch_size):
            yield [tensor[rows] for tensor in self.tensors]


def tensors_of(dataset: AvalancheDataset) -> tuple[Tensor, Tensor, Tensor] | None:
    """Return (x, y, task labels) of an Avalanche data set, or None where samples must be fetched.

    They must be where a transform works per sample, or where a leaf is no ``TensorDataset``.
    """
    x = _inputs(dataset)
    if x is None:
        return None
    y = torch.as_tensor(list(dataset.targets), dtype=torch.int64)
    tasks = torch.as_tensor(list(dataset.targets_task_labels), dtype=torch.int64)
    return x, y, tasks


def _inputs(data: Dataset) -> Tensor | None:
    """Walk Avalanche's tree of concatenations, subsets and transforms down to the tensors."""
    if isinstance(data, TensorDataset):
        return data.tensors[0]
    flat: Any = getattr(data, "_flat_data", data)
    leaves = getattr(flat, "_datasets", None)
    if leaves is None or _transforms(flat):
        return None
    parts: list[Tensor] = []
    for leaf in leaves:
        part = _inputs(leaf)
        if part is None or (parts and part.shape[1:] != parts[0].shape[1:]):
            return None
        parts.append(part)
    x = parts[0] if len(parts) == 1 else torch.cat(parts)
    return x if flat._indices is None else x[torch.as_tensor(list(flat._indices))]


def _transforms(flat: Any) -> bool:
    for name in ("_transform_groups", "_frozen_transform_groups"):
        groups = getattr(flat, name, None)
        if groups is None:
            continue
        group = getattr(groups, "transform_groups", {}).get(groups.current_group)
        if any(transform is not None for transform in getattr(group, "transforms", [group])):
            return True
    return False
