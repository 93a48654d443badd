"""Figures of a study: for each, a function that returns its data and one that draws them.

``plot_all`` draws all figures for which the study has data. To customise a figure, draw the result
of its data function, such as ``forgetting_data(study)``.
"""

from __future__ import annotations

from cl_moe.analysis.plots.curves import (
    average_data,
    draw_average,
    draw_forgetting,
    forgetting_data,
)
from cl_moe.analysis.plots.every import FIGURES, plot_all, which
from cl_moe.analysis.plots.experts import (
    draw_timeline,
    draw_usage,
    timeline_data,
    usage_data,
)
from cl_moe.analysis.plots.matrices import (
    accuracy_matrix_data,
    draw_accuracy_matrix,
    draw_transfer,
    transfer_data,
)
from cl_moe.analysis.plots.style import AbsentError
from cl_moe.analysis.plots.trade_offs import cost_data, draw_cost, draw_samples, samples_data

__all__ = (
    "FIGURES",
    "AbsentError",
    "accuracy_matrix_data",
    "average_data",
    "cost_data",
    "draw_accuracy_matrix",
    "draw_average",
    "draw_cost",
    "draw_forgetting",
    "draw_samples",
    "draw_timeline",
    "draw_transfer",
    "draw_usage",
    "forgetting_data",
    "plot_all",
    "samples_data",
    "timeline_data",
    "transfer_data",
    "usage_data",
    "which",
)
