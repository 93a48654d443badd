"""Elastic weight consolidation as Avalanche has it."""

from __future__ import annotations

from typing import Any

from cl_moe.strategies.methods.base import Method, MethodContext, require, sequential

__all__ = ("ewc_avalanche",)


def ewc_avalanche(
    context: MethodContext, /, *, strength: float = 100.0, decay: float | None = None
) -> Method:
    """Hold weights with Avalanche's EWC: the Fisher information of batch means.

    The gradient is squared after averaging over a batch and there is no factor 1/2, so strengths
    from papers do not carry over. The penalties of all earlier tasks are one parabola, which costs
    no more than the first of them; Avalanche's ``EWCPlugin`` would add up one a task, to the same
    value. Heads of earlier tasks stay as they are; there, what an optimizer such as Adam remembers
    moves them on a little.

    Args:
        context: what all methods are given.
        strength: Avalanche's ``ewc_lambda``.
        decay: how much of the old importance is kept with each task (Schwarz et al. 2018, "Progress
            & compress", online EWC), which Avalanche's ``EWCPlugin`` cannot do with a head a task;
            None keeps a separate penalty a task.
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
