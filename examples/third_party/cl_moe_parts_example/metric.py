"""How bad an accuracy ever became."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from cl_moe.analysis.metrics.base import Array, Metric

__all__ = ("worst_case_accuracy",)


def _worst(a_TT: Array, columns: Sequence[int] | None = None) -> float:
    last = len(a_TT) - 1
    worst = [
        a_TT[j + 1 :, j].min() if j < last else a_TT[last, last]
        for j in (range(last + 1) if columns is None else columns)
    ]
    return float(np.mean(worst)) if worst else float("nan")


worst_case_accuracy = Metric(
    label="worst-case accuracy",
    unit="share",
    higher_is_better=True,
    needs="each task's accuracy after every task that follows it",
    function=_worst,
)
"""Mean over tasks of the least accuracy since the task was learned, the last one's own included.

WC-ACC of De Lange, van de Ven & Tuytelaars 2023, "Continual evaluation for lifelong learning:
identifying the stability gap" (ICLR), evaluated after tasks where they evaluate after every step.
"""
