"""The rows of a new task that closed-form scores are computed on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from cl_moe.continual.view import TaskView
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.reading import PathReader

__all__ = ("SCORE_ROWS", "Sample", "sample_of")

SCORE_ROWS = 256
"""Rows of the new task that scores are computed on."""


class Sample(NamedTuple):
    """Some rows of a task, or all.

    Attributes:
        rows: which.
        y: their labels.
        reader: reads earlier paths on them.
    """

    rows: Tensor
    y: Tensor
    reader: PathReader


def sample_of(view: TaskView, network: MoENetwork, fit: Tensor) -> Sample:
    """Return the rows that earlier paths are scored on: all of a small task, in their order.

    Of a larger one they are among those to fit, so that its rows held out are kept out of this too.

    Args:
        view: the task.
        network: what is read.
        fit: the rows to fit, in random order.
    """
    if len(view.y) <= SCORE_ROWS:
        return Sample(torch.arange(len(view.y)), view.y, PathReader(network, view.x))
    rows = fit[:SCORE_ROWS]
    return Sample(rows, view.y[rows], PathReader(network, view.x[rows]))
