"""Regression: real-valued outputs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor

from cl_moe.objectives.base import Calibrated, Objective, Reduction

__all__ = ("Regression",)

LEAST_VARIANCE = 1e-12
"""Lower bound of the variance: the log-density of an exact fit would be infinite."""


@dataclass(frozen=True)
class Regression(Objective):
    """Outputs are predictions of real numbers, in the units of the given targets.

    Targets are float32 (N, C), without standardisation. The loss is the mean of the squared errors
    over a row's outputs, in squared units. The score is R2, the share of the targets' variance that
    is explained (at most 1, 0 for their mean, below 0 for worse; averaged over outputs); ``rmse``
    is the root of the loss, in units.

    >>> values, y = Regression(1), torch.tensor([[1.0], [2.0], [3.0]])
    >>> found = values.metrics(torch.tensor([[1.0], [2.0], [4.0]]), y)
    >>> {name: round(value, 3) for name, value in found.items()}
    {'r2': 0.5, 'rmse': 0.577, 'loss': 0.333}
    """

    name: ClassVar[str] = "regression"
    score: ClassVar[str] = "r2"
    higher_is_better: ClassVar[Mapping[str, bool]] = MappingProxyType(
        {"r2": True, "rmse": False, "loss": False}
    )
    noun: ClassVar[tuple[str, str]] = ("output", "outputs")

    def targets(self, y: Tensor) -> Tensor:
        """Return targets (N, C), float32."""
        return y.reshape(len(y), -1)[:, : self.n_outputs].to(torch.float32)

    def target_problems(self, y: Tensor) -> list[str]:
        """Return the problems: the shape, values that are not finite, constant targets."""
        shape = y.shape if y.ndim != 1 else (len(y), 1)
        if len(shape) != 2 or shape[1] != self.n_outputs or y.is_complex():
            wanted = f"(samples, {self.n_outputs})"
            return [f"targets are {y.dtype} of shape {tuple(y.shape)}; give {wanted} real numbers"]
        values = self.targets(y)
        bad = (~values.isfinite().all(1)).nonzero()
        if len(bad):
            return [f"sample {int(bad[0])} has a target NaN or infinity; clean or remove it"]
        alike = (values == values[:1]).all(0).nonzero().flatten().tolist()
        return [
            f"targets of output {k} are all {values[0, k]:g}; give samples whose targets differ"
            for k in alike[:1]
        ]

    def loss(self, outputs_BC: Tensor, y: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Return the mean squared error of a row's outputs, in squared units of the targets."""
        losses = self._squared(outputs_BC, y).mean(1)
        return losses if reduction == "none" else losses.mean()

    def _squared(self, outputs_BC: Tensor, y: Tensor) -> Tensor:
        return (outputs_BC - self.targets(y)).square()

    def predict(self, outputs_BC: Tensor) -> Tensor:
        """Return the outputs."""
        return outputs_BC

    def encode(self, y: Tensor) -> Tensor:
        """Return the targets."""
        return self.targets(y).double()

    def metrics(self, outputs_BC: Tensor, y: Tensor) -> Mapping[str, float]:
        """Return r2, rmse and loss; r2 is NaN where the targets of an output are constant."""
        target = self.encode(y)
        error = self._squared(outputs_BC.detach().double(), target).mean(0)
        variance = (target - target.mean(0)).square().mean(0)
        r2 = torch.where(variance > 0, 1 - error / variance, math.nan).mean()
        loss = float(error.mean())
        return {"r2": float(r2), "rmse": math.sqrt(loss), "loss": loss}

    def calibrate(self, outputs_NC: Tensor, y: Tensor, factors: Sequence[float]) -> Calibrated:
        """Return the Gaussian log-likelihood at the variance of the errors; the factor is 1."""
        error = (outputs_NC.detach() - self.targets(y)).square().mean(0)
        variance = error.clamp_min(LEAST_VARIANCE)
        loss = 0.5 * ((2 * math.pi * variance).log() + error / variance).sum()
        return Calibrated(1.0, float(loss), outputs_NC)

    def calibrated_score(self, outputs_NC: Tensor, y: Tensor) -> tuple[float, float]:
        """Return r2, and the unexplained share of variance (the errors, for zero variance).

        >>> Regression(1).calibrated_score(
        ...     torch.tensor([[1.0], [3.0]]), torch.tensor([[1.0], [2.0]])
        ... )
        (-1.0, 2.0)
        """
        found = self.metrics(outputs_NC, y)
        r2 = found["r2"]
        return (r2, found["loss"]) if math.isnan(r2) else (r2, 1 - r2)

    def constant_loss(self, y: Tensor) -> float:
        """Return 1: the mean explains no variance."""
        return 1.0

    def log_prob(self, normalised_BC: Tensor, y: Tensor) -> Tensor:
        """Return the Gaussian log-density at variance 1, up to a constant."""
        return -0.5 * self._squared(normalised_BC, y).sum(-1)

    def noise(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Return one normal number per output."""
        return torch.randn(n, self.n_outputs, generator=generator)

    def sample(self, normalised_BC: Tensor, noise: Tensor) -> Tensor:
        """Return the outputs plus an error of variance 1."""
        return normalised_BC + noise
