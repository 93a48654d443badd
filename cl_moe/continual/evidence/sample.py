"""The rows of a new task that closed-form scores are computed on."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from cl_moe.continual.view import TaskView
from cl_moe.moe.features import PathReader
from cl_moe.moe.network import MoENetwork
from cl_moe.objectives.base import Objective
from cl_moe.seeding import generator

__all__ = ("SCORE_ROWS", "Sample", "sample_of")

SCORE_ROWS = 256
"""Rows of the new task that scores are computed on."""


class Sample(NamedTuple):
    """Some rows of a task, or all.

    Attributes:
        y: their labels; of another objective, targets.
        reader: reads earlier paths on them.
        fitted: which rows they are, where all of them are among those to fit.
        objective: what is learned of them; None: classes.
    """

    y: Tensor
    reader: PathReader
    fitted: Tensor | None = None
    objective: Objective | None = None


def sample_of(view: TaskView, network: MoENetwork, fit: Tensor) -> Sample:
    """Return the rows that earlier paths are scored on: all of a small task, in their order.

    Of a large one they are among those to fit, and serve for evidence, too. In between they are
    drawn from all: to rank paths by fewer rows than there are room for costs more than it saves.

    Args:
        view: the task.
        network: what is read.
        fit: the rows to fit, in random order.
    """
    n = len(view.y)
    if n <= SCORE_ROWS:
        return Sample(view.y, network.reader(view.x), objective=view.objective)
    if n <= 2 * SCORE_ROWS:
        rows = torch.randperm(n, generator=generator(view.seed, "score", view.task))[:SCORE_ROWS]
        reader = network.reader(view.x[rows])
        return Sample(view.y[rows], reader, objective=view.objective)
    rows = fit[:SCORE_ROWS]
    return Sample(view.y[rows], network.reader(view.x[rows]), rows, view.objective)
