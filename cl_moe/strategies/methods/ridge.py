"""Ridge regression, per task."""

from __future__ import annotations

from typing import Any

from cl_moe.strategies.methods.base import Method, MethodContext

__all__ = ("ridge",)


def ridge(context: MethodContext, /) -> Method:
    """Fit a linear classifier (or regression) per task by ridge regression on the raw input.

    The simplest control: no transfer, deterministic, no training. Strength and temperature are
    selected by leave-one-out (:func:`cl_moe.continual.evidence.ridge.fit_ridge`). On the features
    of a frozen encoder it is the classifier of McDonnell et al. 2023, "RanPAC: Random projections
    and pre-trained models for continual learning", with one head per task and without random
    projection. A very large task is fitted to a part of its rows
    (:data:`cl_moe.strategies.baselines.closed_form.ENTRIES`).
    """

    def strategy() -> Any:
        from cl_moe.strategies.baselines.closed_form import closed_form, ridge_head

        return closed_form(context, ridge_head)

    return Method(strategy, trains=False)
