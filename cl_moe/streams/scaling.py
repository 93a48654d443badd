"""Numerically stable standardisation of columns."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ("standardised",)


def standardised(train_ND: Tensor, *others: Tensor) -> list[Tensor]:
    """Return float32 rows, each column shifted and scaled by the training rows' mean and deviation.

    The arithmetic is float64's. A column becomes 0 where its deviation is within rounding: at most
    four times the spacing of numbers of its size, in the type of ``train_ND``.

    Args:
        train_ND: float64 or float32.
        others: rows (M, D) that are transformed likewise.

    >>> train = torch.tensor([[0.1, 1e9 + 1], [0.1, 1e9 - 1]], dtype=torch.float64)
    >>> standardised(train, train[:1])[1]
    tensor([[0.0000, 0.7071]])
    """
    x = train_ND.to(torch.float64)
    mean = x.mean(0)
    deviation = x.std(0) if len(x) > 1 else torch.zeros_like(mean)
    alike = deviation <= 4 * torch.finfo(train_ND.dtype).eps * x.abs().amax(0)
    scale = torch.where(alike, 1.0, deviation)
    return [
        torch.where(alike, 0.0, (part.to(torch.float64) - mean) / scale).to(torch.float32)
        for part in (train_ND, *others)
    ]
