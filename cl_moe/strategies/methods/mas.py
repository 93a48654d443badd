"""Memory aware synapses."""

from __future__ import annotations

from typing import Any

from cl_moe.strategies.methods.base import Method, MethodContext, require, sequential

__all__ = ("mas",)


def mas(context: MethodContext, /, *, strength: float = 0.1, mixing: float = 0.5) -> Method:
    """Penalise changes of each weight by the outputs' sensitivity to it (Avalanche's MAS).

    Aljundi et al. 2018, "Memory aware synapses: learning what (not) to forget", eq. 2 to 5.

    Args:
        context: the settings that all methods share.
        strength: the factor before the penalty.
        mixing: weight of the old importance when a task's importance is added, 0 to 1.
    """
    require(
        {
            f"strength: {strength} is below 0": strength >= 0,
            f"mixing: {mixing} is not between 0 and 1": 0 <= mixing <= 1,
        }
    )

    def plugins() -> list[Any]:
        from cl_moe.strategies.baselines.mas import PairedMAS

        return [PairedMAS(lambda_reg=strength, alpha=mixing)]

    return sequential(context, plugins=plugins)
