"""Trunks whose training depends on the mode, as a user's functions for ``network.kind``."""

from __future__ import annotations

import math

from torch import nn


def batch_norm(shape):
    return nn.Sequential(
        nn.Flatten(), nn.Linear(math.prod(shape), 12), nn.BatchNorm1d(12), nn.ReLU()
    )


def dropout(shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 12), nn.ReLU(), nn.Dropout(0.5))


def both(shape):
    return nn.Sequential(batch_norm(shape), nn.Linear(12, 12), nn.Dropout(0.5))


def batch_norm_2d(shape):
    return nn.Sequential(nn.Conv2d(shape[0], 3, 1), nn.BatchNorm2d(3), nn.ReLU(), nn.Flatten())
