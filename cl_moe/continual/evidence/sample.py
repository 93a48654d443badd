"""The rows of a new task for closed-form scores."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from cl_moe.continual.view import TaskView
from cl_moe.moe.features import PathReader
from cl_moe.moe.network import MoENetwork
from cl_moe.objectives.base import Objective

__all__ = ("SCORE_ROWS", "Sample", "sample_of")

SCORE_ROWS = 256
"""Rows of a large task that scores are computed on; all rows of a task up to twice as large."""


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
    """Return the rows that earlier paths are scored on: all rows of a small task, in order.

    Of a large task they are some of the rows to fit, and evidence is computed on them, too.

    Args:
        view: the task.
        network: the network of the earlier paths.
        fit: the rows to fit, in random order.
    """
    if len(view.y) <= 2 * SCORE_ROWS:
        return Sample(view.y, network.reader(view.x), objective=view.objective)
    rows = fit[:SCORE_ROWS]
    return Sample(view.y[rows], network.reader(view.x[rows]), rows, view.objective)
