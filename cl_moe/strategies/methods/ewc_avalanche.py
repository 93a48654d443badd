"""Elastic weight consolidation as Avalanche has it."""

from __future__ import annotations

from cl_moe.strategies.methods.base import Method, MethodContext, require, sequential

__all__ = ("ewc_avalanche",)


def ewc_avalanche(
    context: MethodContext, /, *, strength: float = 100.0, decay: float | None = None
) -> Method:
    """Hold weights with Avalanche's EWC: the Fisher information of batch means.

    The gradient is squared after averaging over a batch and there is no factor 1/2, so strengths
    from papers do not carry over. Time and memory grow with every task, unless ``decay`` is given.

    Args:
        context: what all methods are given.
        strength: Avalanche's ``ewc_lambda``.
        decay: how much of the old importance is kept with each task (Schwarz et al. 2018, "Progress
            & compress", online EWC); None keeps a separate penalty a task.
    """
    from avalanche.training.plugins import EWCPlugin

    require(
        {
            f"strength: {strength} is below 0": strength >= 0,
            f"decay: {decay} is not between 0 and 1": decay is None or 0 <= decay <= 1,
        }
    )
    mode = "separate" if decay is None else "online"
    plugins = [EWCPlugin(strength, mode=mode, decay_factor=decay)]
    return sequential(context, plugins=plugins)
