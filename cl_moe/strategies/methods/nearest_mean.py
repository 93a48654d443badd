"""Nearest class mean, per task."""

from __future__ import annotations

from typing import Any

from cl_moe.strategies.methods.base import Method, MethodContext, require_objective

__all__ = ("nearest_mean",)


def nearest_mean(context: MethodContext, /) -> Method:
    """Predict the class with the nearest mean in angle, per task, on the raw input.

    SimpleCIL (Zhou et al. 2023, "Revisiting class-incremental learning with pre-trained models"),
    with separate means per task: no transfer, deterministic, no training. See
    :func:`cl_moe.strategies.baselines.closed_form.nearest_mean_head`. It needs classes.
    """
    require_objective(context, "nearest_mean", ["classification"], "compares class means")

    def strategy() -> Any:
        from cl_moe.strategies.baselines.closed_form import closed_form, nearest_mean_head

        return closed_form(context, nearest_mean_head)

    return Method(strategy, trains=False)
