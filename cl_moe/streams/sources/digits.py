"""Handwritten digits, 8x8, that come with scikit-learn."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import torch

from cl_moe.streams.sources.base import Source, SourceData, split_apart

__all__ = ("Digits",)

FILE = Path("datasets", "data", "digits.csv.gz")
"""Their path within scikit-learn's package."""


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
        table = _table()
        images = table[:, :-1].reshape(-1, 8, 8)
        x = torch.tensor(images / 16.0, dtype=torch.float32).unsqueeze(1)
        y = torch.tensor(table[:, -1], dtype=torch.int64)
        train, test = split_apart(y, 0.2)
        return SourceData(x[train], y[train], x[test], y[test], tuple("0123456789"))


def _table() -> np.ndarray:
    """Return grey values 0 to 16 and the digit, a row (65,) per image.

    The file is read directly, since importing scikit-learn takes over a second.
    """
    package = find_spec("sklearn")
    found = [
        Path(folder) / FILE for folder in (package and package.submodule_search_locations) or []
    ]
    for path in found:
        if path.is_file():
            with gzip.open(path) as file:
                return np.loadtxt(file, delimiter=",")
    from sklearn.datasets import load_digits

    bunch = load_digits()
    return np.column_stack([bunch.data, bunch.target])
