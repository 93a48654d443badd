"""Division of rows into batches, without batches that a network cannot be trained on."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ("NO_SPREAD", "batches", "n_batches")

NO_SPREAD = "more than 1 value per channel"
"""Torch's error where batch normalisation would train on one value."""


def batches(order: Tensor, size: int, pairs: bool = False) -> list[Tensor]:
    """Return rows in batches, as ``order.split(size)`` does.

    Args:
        order: rows (N).
        size: rows per batch; the last batch may be smaller.
        pairs: whether a single last row joins the batch before it, so that no batch has one row and
            no row is lost. A single row in total stays one batch.

    >>> [rows.tolist() for rows in batches(torch.arange(5), 2)]
    [[0, 1], [2, 3], [4]]
    >>> [rows.tolist() for rows in batches(torch.arange(5), 2, pairs=True)]
    [[0, 1], [2, 3, 4]]
    """
    parts = list(order.split(size))
    if pairs and len(parts) > 1 and len(parts[-1]) == 1 < size:
        parts[-2:] = [torch.cat(parts[-2:])]
    return parts


def n_batches(n: int, size: int, pairs: bool = False) -> int:
    """Return the number of batches of n rows, see :func:`batches`.

    >>> n_batches(33, 32), n_batches(33, 32, pairs=True), n_batches(34, 32, pairs=True)
    (2, 1, 2)
    """
    whole, left = divmod(n, size)
    joins = pairs and left == 1 and whole > 0
    return whole + (left > 0 and not joins)
