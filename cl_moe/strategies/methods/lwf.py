"""Learning without forgetting."""

from __future__ import annotations

from typing import Any

from cl_moe.strategies.methods.base import (
    Method,
    MethodContext,
    require,
    require_objective,
    sequential,
)

__all__ = ("lwf",)


def lwf(context: MethodContext, /, *, strength: float = 1.0, temperature: float = 2.0) -> Method:
    """Distil the old heads' predictions on the new task's inputs (Avalanche's LwF).

    Li & Hoiem 2016, "Learning without forgetting", eq. 1 to 3. Each step evaluates all old heads,
    of the network and of its copy from the end of the last task; a shared head is evaluated once.
    It needs classes.

    Args:
        context: the settings that all methods share.
        strength: the factor before the distillation loss.
        temperature: divisor of the compared logits.
    """
    require(
        {
            f"strength: {strength} is below 0": strength >= 0,
            f"temperature: {temperature} is not above 0": temperature > 0,
        }
    )
    require_objective(context, "lwf", ["classification"], "keeps the probabilities of classes")

    def plugins() -> list[Any]:
        from cl_moe.strategies.baselines.lwf import FrozenTeacherLwF

        return [FrozenTeacherLwF(alpha=strength, temperature=temperature)]

    return sequential(context, plugins=plugins)
