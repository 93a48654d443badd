"""Synaptic intelligence."""

from __future__ import annotations

from cl_moe.strategies.methods.base import Method, MethodContext, require, sequential

__all__ = ("si",)


def si(context: MethodContext, /, *, strength: float = 1.0, damping: float = 1e-7) -> Method:
    """Hold each weight as firmly as its way through training lowered the loss (Avalanche's SI).

    Zenke et al. 2017, "Continual learning through synaptic intelligence", eq. 4 and 5, in the form
    of Maltoni & Lomonaco 2019, which clips importances at 0.001.

    Args:
        context: what all methods are given.
        strength: the factor before the penalty.
        damping: keeps the importance of weights that hardly moved bounded.
    """
    from avalanche.training.plugins import SynapticIntelligencePlugin

    require(
        {
            f"strength: {strength} is below 0": strength >= 0,
            f"damping: {damping} is not above 0": damping > 0,
        }
    )
    plugins = [SynapticIntelligencePlugin(strength, eps=damping)]
    return sequential(context, plugins=plugins)
