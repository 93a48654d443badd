"""The rows of a new task that closed-form scores are computed on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from cl_moe.continual.view import TaskView
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.reading import PathReader
from cl_moe.seeding import generator

__all__ = ("SCORE_ROWS", "Sample", "sample_of")

SCORE_ROWS = 256
"""Rows of the new task that scores are computed on."""


class Sample(NamedTuple):
    """Some rows of a task, or all.

    Attributes:
        y: their labels.
        reader: reads earlier paths on them.
    """

    y: Tensor
    reader: PathReader


def sample_of(view: TaskView, network: MoENetwork) -> Sample:
    """Return the rows that earlier paths are scored on: all, in their order, or some at random."""
    if len(view.y) <= SCORE_ROWS:
        return Sample(view.y, PathReader(network, view.x))
    rows = torch.randperm(len(view.y), generator=generator(view.seed, "score", view.task))
    rows = rows[:SCORE_ROWS]
    return Sample(view.y[rows], PathReader(network, view.x[rows]))
