"""One class a row."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import ClassVar

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_moe.objectives.base import Calibrated, Objective, Reduction

__all__ = ("Classification", "calibrated")


@dataclass(frozen=True)
class Classification(Objective):
    """Outputs are logits of classes; a target is the number of one class.

    Targets are int64 (N,), 0 to C - 1. The loss is the cross-entropy in nats, the score accuracy
    (0 to 1).

    >>> classes = Classification(2)
    >>> outputs, y = torch.tensor([[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]), torch.tensor([0, 1, 0])
    >>> classes.predict(outputs).tolist(), round(classes.metrics(outputs, y)["accuracy"], 3)
    ([0, 1, 1], 0.667)
    >>> classes.loss(outputs, y, "none").shape
    torch.Size([3])
    """

    name: ClassVar[str] = "classification"
    score: ClassVar[str] = "accuracy"
    higher_is_better: ClassVar[Mapping[str, bool]] = MappingProxyType(
        {"accuracy": True, "loss": False}
    )
    noun: ClassVar[tuple[str, str]] = ("class", "classes")

    def targets(self, y: Tensor) -> Tensor:
        """Return labels (N,), int64."""
        return (y if y.ndim < 2 else y[:, 0]).to(torch.int64)

    def target_problems(self, y: Tensor) -> list[str]:
        """Return what is wrong: other than whole numbers (N,), or labels out of range."""
        if y.ndim != 1 or y.is_floating_point() or y.is_complex() or y.dtype == torch.bool:
            return [f"labels are {y.dtype} of shape {tuple(y.shape)}; give (samples,) int64"]
        wrong = sorted(set(y.tolist()) - set(range(self.n_outputs)))
        last = self.n_outputs - 1
        return [f"label {wrong[0]} for {self.counted}; labels are 0 to {last}"] if wrong else []

    def loss(self, outputs_BC: Tensor, y: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Return the cross-entropy, in nats."""
        return F.cross_entropy(outputs_BC, self.targets(y), reduction=reduction)

    def predict(self, outputs_BC: Tensor) -> Tensor:
        """Return the class with the largest output, (B,)."""
        return outputs_BC.argmax(-1)

    def encode(self, y: Tensor) -> Tensor:
        """Return one-hot labels."""
        return F.one_hot(self.targets(y), self.n_outputs).double()

    def metrics(self, outputs_BC: Tensor, y: Tensor) -> Mapping[str, float]:
        """Return accuracy (0 to 1) and loss (nats)."""
        right = self.predict(outputs_BC) == self.targets(y)
        loss = self.loss(outputs_BC.detach().double(), y)
        return {"accuracy": float(right.double().mean()), "loss": float(loss)}

    def calibrate(self, outputs_NC: Tensor, y: Tensor, factors: Sequence[float]) -> Calibrated:
        """Return the factor with the least cross-entropy: scores have no scale of their own."""
        labels = self.targets(y)
        scaled_FNC = outputs_NC.new_tensor(list(factors))[:, None, None] * outputs_NC
        log_probs_FNC = scaled_FNC.log_softmax(2)
        rows = torch.arange(len(labels), device=labels.device)
        losses = -log_probs_FNC[:, rows, labels].mean(1)
        best = int(losses.argmin())
        return Calibrated(factors[best], float(losses[best]), log_probs_FNC[best].clone())

    def calibrated_score(self, outputs_NC: Tensor, y: Tensor) -> tuple[float, float]:
        """Return accuracy, and cross-entropy (nats) at the temperature that fits best."""
        labels = self.targets(y)
        accuracy = (outputs_NC.argmax(1) == labels).double().mean().item()
        return accuracy, calibrated(outputs_NC, labels)[1].mean().item()

    def constant_loss(self, y: Tensor) -> float:
        """Return the entropy of the labels, in nats: log C where all classes are as frequent.

        >>> labels = torch.tensor([0, 0, 0, 1])
        >>> round(Classification(2).constant_loss(labels), 3)
        0.562
        """
        labels = self.targets(y)
        share = labels.bincount().double() / len(labels)
        return float(-torch.xlogy(share, share).sum())

    @property
    def chance(self) -> float:
        """One in C."""
        return 1 / self.n_outputs

    def strata(self, y: Tensor) -> Tensor:
        """Return the labels."""
        return self.targets(y)

    def normalised(self, outputs_BC: Tensor) -> Tensor:
        """Return log-probabilities."""
        return outputs_BC.log_softmax(-1)

    def log_prob(self, normalised_BC: Tensor, y: Tensor) -> Tensor:
        """Return the log-probability of each row's class."""
        return normalised_BC.gather(-1, self.targets(y)[:, None])[:, 0]

    def noise(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Return one uniform number a row."""
        return torch.rand(n, generator=generator)

    def sample(self, normalised_BC: Tensor, noise: Tensor) -> Tensor:
        """Return the class whose part of 0..1 a row's number falls into."""
        passed_BC = normalised_BC.exp().cumsum(-1) <= noise[:, None]
        return passed_BC.sum(-1).clamp(max=normalised_BC.shape[-1] - 1)


def calibrated(logits_NC: Tensor, y_N: Tensor) -> tuple[float, Tensor]:
    """Return the temperature, of powers of two, with the least mean cross-entropy, and the losses.

    Losses of outputs that are not finite, of a network whose training diverged, are infinite.

    >>> calibrated(torch.tensor([[0.1, 0.0], [0.0, 0.1]]), torch.tensor([0, 1]))[0]
    16.0
    """
    tried = {
        2.0**p: F.cross_entropy(logits_NC * 2.0**p, y_N, reduction="none").nan_to_num(nan=math.inf)
        for p in range(-6, 5)
    }
    return min(tried.items(), key=lambda pair: pair[1].mean().item())
