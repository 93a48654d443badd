"""The rows of a new task for closed-form scores."""

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
"""Number of rows for scores."""


class Sample(NamedTuple):
    """Some rows of a task, or all.

    Attributes:
        y: their labels; for other objectives, targets.
        reader: the reader of earlier paths for these rows.
        fitted: positions of the rows, where all of them are among the rows to fit.
        objective: the objective; None: classification.
    """

    y: Tensor
    reader: PathReader
    fitted: Tensor | None = None
    objective: Objective | None = None


def sample_of(view: TaskView, network: MoENetwork, fit: Tensor) -> Sample:
    """Return the rows that earlier paths are scored on.

    All rows of a small task are used, in order. For a large task they are among the rows to fit,
    and are used for evidence, too. In between they are drawn from all rows: ranking paths by fewer
    rows than allowed costs more than it saves.

    Args:
        view: the task.
        network: the network of the earlier paths.
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
