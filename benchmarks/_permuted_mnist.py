"""Permuted MNIST as one writes it by hand: ``python -m benchmarks._permuted_mnist FOLDER``.

What ``benchmarks/command.py`` holds ``cl-moe run`` against: a process of its own that imports
PyTorch, reads MNIST, learns the tasks one after the other, and after each tests all tasks that it
has seen. It uses nothing of cl_moe.
"""

from __future__ import annotations

import gzip
import sys
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

__all__ = ("BATCH", "HIDDEN", "RATE", "TASKS", "learn")

TASKS, HIDDEN, BATCH, RATE = 3, 100, 128, 1e-3
"""Tasks, width of both hidden layers, rows a step, Adam's step size."""

TEST_BATCH = 512

Split = tuple[Tensor, Tensor]


def read(folder: Path, split: str) -> Split:
    """Return the images (N, 784) as float32 from 0 to 1 and the labels (N,)."""
    parts = []
    for name in (f"{split}-images-idx3-ubyte.gz", f"{split}-labels-idx1-ubyte.gz"):
        data = gzip.decompress((folder / "MNIST" / "raw" / name).read_bytes())
        parts.append(np.frombuffer(data, np.uint8, offset=16 if "images" in name else 8).copy())
    images = torch.from_numpy(parts[0]).view(-1, 784)
    return images / 255, torch.from_numpy(parts[1]).long()


def learn(train: Split, test: Split) -> list[list[float]]:
    """Learn the tasks for an epoch each; return the accuracies on those seen, after each task."""
    body = nn.Sequential(nn.Linear(784, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU())
    heads = nn.ModuleList(nn.Linear(HIDDEN, 10) for _ in range(TASKS))
    orders = [torch.arange(784), *(torch.randperm(784) for _ in range(TASKS - 1))]
    tests = [test[0][:, order] for order in orders]
    found = []
    for task, order in enumerate(orders):
        model = nn.Sequential(body, heads[task])
        optimizer = torch.optim.Adam(model.parameters(), lr=RATE)
        x, y = train[0][:, order], train[1]
        for rows in torch.randperm(len(y)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(model(x[rows]), y[rows]).backward()
            optimizer.step()
        with torch.no_grad():
            found.append([_accuracy(body, heads[k], tests[k], test[1]) for k in range(task + 1)])
    return found


def _accuracy(body: nn.Module, head: nn.Module, x: Tensor, y: Tensor) -> float:
    right = 0
    for x_B, y_B in zip(x.split(TEST_BATCH), y.split(TEST_BATCH), strict=True):
        right += int((head(body(x_B)).argmax(1) == y_B).sum())
    return right / len(y)


if __name__ == "__main__":
    torch.set_num_threads(1)
    where = Path(sys.argv[1])
    for accuracies in learn(read(where, "train"), read(where, "t10k")):
        print(*accuracies)
