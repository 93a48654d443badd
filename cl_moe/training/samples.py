"""Samples of an Avalanche data set as tensors."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from cl_moe.training.tensors import tensors_of

__all__ = ("samples",)


def samples(dataset: Any) -> tuple[Tensor, Tensor, Tensor]:
    """Return inputs (N, ...), labels (N) and task labels (N) of a data set.

    Where the data are not tensors every sample is read once, through its transforms.
    """
    tensors = tensors_of(dataset)
    if tensors is not None:
        return tensors[0], tensors[1], tensors[-1]
    rows = [dataset[row] for row in range(len(dataset))]
    x = torch.stack([torch.as_tensor(row[0]) for row in rows])
    y, tasks = (torch.tensor([int(row[column]) for row in rows]) for column in (1, -1))
    return x, y, tasks
