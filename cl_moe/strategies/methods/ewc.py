"""Elastic weight consolidation, with the Fisher information of single samples."""

from __future__ import annotations

from typing import Any, Literal

from cl_moe.seeding import derive
from cl_moe.strategies.methods.base import (
    Method,
    MethodContext,
    require,
    require_objective,
    sequential,
)

__all__ = ("ewc",)


def ewc(
    context: MethodContext,
    /,
    *,
    strength: float = 100.0,
    labels: Literal["sampled", "predicted", "true"] = "sampled",
    samples: int | None = 1000,
) -> Method:
    """Penalise changes of each weight by its Fisher information on earlier tasks.

    Kirkpatrick et al. 2017, "Overcoming catastrophic forgetting in neural networks", eq. 3, with
    the Fisher information of single samples; see :class:`cl_moe.continual.regularizers.ewc.EWC`.
    Strengths from papers apply directly (twice the coefficient of papers without the 1/2).

    Args:
        context: the settings that all methods share.
        strength: the factor before the penalty.
        labels: drawn from the model, the model's prediction (Hsu et al. 2018), or the true ones.
            For regression these are targets; the likelihood is Gaussian with variance 1.
        samples: rows per task for the Fisher information; None: all.
    """
    require(
        {
            f"strength: {strength} is below 0": strength >= 0,
            f"samples: {samples} is too few; give 1 or more": samples is None or samples >= 1,
        }
    )
    if labels == "predicted":
        why = "labels = 'predicted' takes the error of a prediction against itself"
        require_objective(context, "ewc", ["classification", "multilabel"], why)

    def plugins() -> list[Any]:
        from cl_moe.continual.regularizers.ewc import EWC
        from cl_moe.training.regularization import RegularizationPlugin

        seed = derive(context.seed, "fisher")
        return [RegularizationPlugin(EWC(strength, labels=labels, samples=samples, seed=seed))]

    return sequential(context, plugins=plugins)
