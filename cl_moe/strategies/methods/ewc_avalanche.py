"""Elastic weight consolidation as in Avalanche."""

from __future__ import annotations

from typing import Any

from cl_moe.strategies.methods.base import Method, MethodContext, require, sequential

__all__ = ("ewc_avalanche",)


def ewc_avalanche(
    context: MethodContext, /, *, strength: float = 100.0, decay: float | None = None
) -> Method:
    """Penalise changes of weights as in Avalanche's EWC: Fisher information of batch means.

    The gradient is squared after averaging over a batch and there is no factor 1/2, so strengths
    from papers do not apply. The penalties of all earlier tasks are one quadratic function, at the
    cost of a single one; Avalanche's ``EWCPlugin`` adds one term per task, with the same sum. Heads
    of earlier tasks do not change here; in Avalanche, the moments of an optimizer such as Adam
    change them slightly.

    Args:
        context: the settings that all methods share.
        strength: Avalanche's ``ewc_lambda``.
        decay: factor on the old importance with each task (Schwarz et al. 2018, "Progress &
            compress", online EWC), which Avalanche's ``EWCPlugin`` does not support with one head
            per task; None for a separate penalty per task.
    """
    require(
        {
            f"strength: {strength} is below 0": strength >= 0,
            f"decay: {decay} is not between 0 and 1": decay is None or 0 <= decay <= 1,
        }
    )
    return sequential(context, plugins=lambda: [_plugin(context, strength, decay)])


def _plugin(context: MethodContext, strength: float, decay: float | None) -> Any:
    from cl_moe.continual.regularizers.batch_ewc import BatchEWC
    from cl_moe.training.regularization import RegularizationPlugin

    regularizer = BatchEWC(strength, context.training.batch_size, decay)
    return RegularizationPlugin(regularizer)
