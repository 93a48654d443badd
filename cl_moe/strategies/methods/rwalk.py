"""Riemannian walk."""

from __future__ import annotations

from typing import Any

from cl_moe.strategies.methods.base import Method, MethodContext, require, sequential

__all__ = ("rwalk",)


def rwalk(
    context: MethodContext,
    /,
    *,
    strength: float = 0.1,
    mixing: float = 0.9,
    every: int = 10,
) -> Method:
    """Penalise changes by Fisher information and path integral (Avalanche's RWalk).

    Chaudhry et al. 2018, "Riemannian walk for incremental learning: understanding forgetting and
    intransigence", eq. 6 to 10. Its memory of examples is left out; ``replay`` is a method.

    Args:
        context: the settings that all methods share.
        strength: the factor before the penalty.
        mixing: weight of a batch's Fisher information in the running one, 0 to 1.
        every: optimizer steps between two updates of the path integral.
    """
    require(
        {
            f"strength: {strength} is below 0": strength >= 0,
            f"mixing: {mixing} is not between 0 and 1": 0 <= mixing <= 1,
            f"every: {every} is too small; give 1 or more": every >= 1,
        }
    )

    def plugins() -> list[Any]:
        from cl_moe.strategies.baselines.rwalk import RiemannianWalk

        return [RiemannianWalk(ewc_lambda=strength, ewc_alpha=mixing, delta_t=every)]

    return sequential(context, plugins=plugins)
