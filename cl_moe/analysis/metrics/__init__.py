"""Continual-learning metrics: pure functions of an accuracy matrix, collected in a tidy frame.

>>> import numpy as np
>>> average_accuracy(np.array([[0.9, np.nan], [0.7, 0.8]]))
0.75
"""

from __future__ import annotations

from cl_moe.analysis.metrics.accuracy import (
    average_accuracy,
    average_incremental_accuracy,
    backward_transfer,
    forgetting,
)
from cl_moe.analysis.metrics.base import Metric
from cl_moe.analysis.metrics.compute import compute
from cl_moe.analysis.metrics.cost import costs, decision_share
from cl_moe.analysis.metrics.learning import (
    learning_curve_area,
    probe_families,
    samples_to_target,
    unrelated_slope,
    unrelated_split,
)
from cl_moe.analysis.metrics.names import METRICS
from cl_moe.analysis.metrics.transfer import (
    forward_transfer,
    intransigence,
    last_task_transfer,
    learning_transfer,
    pair_gains,
    single_task_accuracies,
    transfer_matrix,
)

__all__ = (
    "METRICS",
    "Metric",
    "average_accuracy",
    "average_incremental_accuracy",
    "backward_transfer",
    "compute",
    "costs",
    "decision_share",
    "forgetting",
    "forward_transfer",
    "intransigence",
    "last_task_transfer",
    "learning_curve_area",
    "learning_transfer",
    "pair_gains",
    "probe_families",
    "samples_to_target",
    "single_task_accuracies",
    "transfer_matrix",
    "unrelated_slope",
    "unrelated_split",
)
