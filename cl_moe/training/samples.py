"""Samples of an Avalanche data set as tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cl_moe.training.tensors import tensors_of

__all__ = ("samples",)


def samples(dataset: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs (N, ...), targets (N, ...) and task labels (N) of a data set.

    Where the data are not tensors every sample is read once, through its transforms. Targets have
    the form of a batch, which the task's objective reads.
    """
    tensors = tensors_of(dataset)
    if tensors is not None:
        return tensors[0], tensors[1], tensors[-1]
    rows = [dataset[row] for row in range(len(dataset))]
    x = torch.stack([torch.as_tensor(row[0]) for row in rows])
    y = torch.stack([torch.as_tensor(row[1]) for row in rows])
    tasks = torch.tensor([int(row[-1]) for row in rows])
    return x, y if y.is_floating_point() else y.to(torch.int64), tasks
