"""Handwritten digits, 8x8, that come with scikit-learn."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch

from cl_moe.streams.sources.base import Source, SourceData, split_apart

__all__ = ("Digits",)


@dataclass(frozen=True)
class Digits(Source):
    """Scikit-learn's 1,797 handwritten digits (1, 8, 8), nothing is downloaded.

    Alpaydin & Kaynak 1998. A fifth of each class is the test set, the same in every run.

    >>> data = Digits().load(seed=0, data_dir=None)
    >>> tuple(data.train_x.shape[1:]), len(data.classes)
    ((1, 8, 8), 10)
    """

    def load(self, *, seed: int, data_dir: Path | None) -> SourceData:
        """Return the digits, grey values scaled to [0, 1]."""
        from sklearn.datasets import load_digits

        bunch = load_digits()
        x = torch.tensor(bunch.images / 16.0, dtype=torch.float32).unsqueeze(1)
        y = torch.tensor(bunch.target, dtype=torch.int64)
        train, test = split_apart(y, 0.2)
        return SourceData(x[train], y[train], x[test], y[test], tuple("0123456789"))
