"""Synaptic intelligence."""

from __future__ import annotations

from typing import Any

from cl_moe.strategies.methods.base import Method, MethodContext, require, sequential

__all__ = ("si",)


def si(context: MethodContext, /, *, strength: float = 1.0, damping: float = 0.1) -> Method:
    """Penalise changes of each weight by its contribution to the decrease of the loss.

    Zenke et al. 2017, "Continual learning through synaptic intelligence", eq. 4 and 5; see
    :class:`cl_moe.strategies.baselines.si.SynapticIntelligence`, which also explains why
    Avalanche's plugin is not used.

    Args:
        context: the settings that all methods share.
        strength: the factor before the penalty.
        damping: bounds the importance of weights that hardly changed.
    """
    require(
        {
            f"strength: {strength} is below 0": strength >= 0,
            f"damping: {damping} is not above 0": damping > 0,
        }
    )

    def plugins() -> list[Any]:
        from cl_moe.strategies.baselines.si import SynapticIntelligence

        return [SynapticIntelligence(strength, damping)]

    return sequential(context, plugins=plugins)
