"""Labels that are there or not, several a row."""

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

__all__ = ("Multilabel",)


@dataclass(frozen=True)
class Multilabel(Objective):
    """Outputs are logits, one a label; a target says of each label whether it is there.

    Targets are float32 (N, C) of 0 and 1. The loss is the binary cross-entropy in nats, averaged
    over a row's labels. A label is predicted where its probability is above 1/2. The score is the
    micro-averaged F1 (0 to 1), 2 TP / (2 TP + FP + FN) counted over all labels and rows;
    ``exact_match`` is the share of rows with every label right.

    >>> labels, y = Multilabel(2), torch.tensor([[1.0, 0.0], [1.0, 1.0]])
    >>> found = labels.metrics(torch.tensor([[2.0, -2.0], [2.0, -2.0]]), y)
    >>> round(found["f1"], 3), found["exact_match"]
    (0.8, 0.5)
    """

    name: ClassVar[str] = "multilabel"
    score: ClassVar[str] = "f1"
    higher_is_better: ClassVar[Mapping[str, bool]] = MappingProxyType(
        {"f1": True, "exact_match": True, "loss": False}
    )
    noun: ClassVar[tuple[str, str]] = ("label", "labels")

    def targets(self, y: Tensor) -> Tensor:
        """Return targets (N, C), float32."""
        return y.reshape(len(y), -1)[:, : self.n_outputs].to(torch.float32)

    def target_problems(self, y: Tensor) -> list[str]:
        """Return what is wrong: the shape, values other than 0 and 1, no label anywhere."""
        shape = y.shape if y.ndim != 1 else (len(y), 1)
        if len(shape) != 2 or shape[1] != self.n_outputs or y.is_complex():
            wanted = f"(samples, {self.n_outputs})"
            return [f"targets are {y.dtype} of shape {tuple(y.shape)}; give {wanted} of 0 and 1"]
        values = self.targets(y)
        wrong = ((values != 0) & (values != 1)).nonzero()
        if len(wrong):
            row, label = wrong[0].tolist()
            value = f"{values[row, label]:g}"
            return [f"sample {row} has target {value} for label {label}; give 0 or 1"]
        return [] if bool(values.any()) else ["no sample has any label; give some"]

    def loss(self, outputs_BC: Tensor, y: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Return the binary cross-entropy, in nats a label."""
        losses = self._nats(outputs_BC, y).mean(1)
        return losses if reduction == "none" else losses.mean()

    def _nats(self, outputs_BC: Tensor, y: Tensor) -> Tensor:
        target = self.targets(y).to(outputs_BC.dtype)
        return F.binary_cross_entropy_with_logits(outputs_BC, target, reduction="none")

    def predict(self, outputs_BC: Tensor) -> Tensor:
        """Return 1 (float32) for labels whose logit is above 0."""
        return (outputs_BC > 0).to(torch.float32)

    def encode(self, y: Tensor) -> Tensor:
        """Return 1 for labels that are there and -1 for others: their middle is a logit of 0."""
        return 2 * self.targets(y).double() - 1

    def metrics(self, outputs_BC: Tensor, y: Tensor) -> Mapping[str, float]:
        """Return f1, exact_match and loss; f1 is NaN where no label is there or predicted."""
        found, target = self.predict(outputs_BC).bool(), self.targets(y).bool()
        both, either = (found & target).sum(), found.sum() + target.sum()
        f1 = float(2 * both / either) if int(either) else math.nan
        exact = float((found == target).all(1).double().mean())
        return {
            "f1": f1,
            "exact_match": exact,
            "loss": float(self.loss(outputs_BC.detach().double(), y)),
        }

    def calibrate(self, outputs_NC: Tensor, y: Tensor, factors: Sequence[float]) -> Calibrated:
        """Return the factor with the least binary cross-entropy, summed over labels."""
        tried = [float(self._nats(f * outputs_NC.detach(), y).sum(1).mean()) for f in factors]
        best = min(range(len(tried)), key=tried.__getitem__)
        return Calibrated(factors[best], tried[best], factors[best] * outputs_NC)

    def calibrated_score(self, outputs_NC: Tensor, y: Tensor) -> tuple[float, float]:
        """Return f1, and all labels' cross-entropy (nats a row) at the best temperature."""
        factors = [2.0**power for power in range(-6, 5)]
        return self.metrics(outputs_NC, y)["f1"], self.calibrate(outputs_NC, y, factors).loss

    def constant_loss(self, y: Tensor) -> float:
        """Return the labels' entropies by how frequent each is, summed, in nats.

        >>> round(Multilabel(2).constant_loss(torch.tensor([[1.0, 0.0], [0.0, 0.0]])), 3)
        0.693
        """
        share = self.targets(y).double().mean(0)
        entropy = torch.xlogy(share, share) + torch.xlogy(1 - share, 1 - share)
        return float(-entropy.sum())

    def log_prob(self, normalised_BC: Tensor, y: Tensor) -> Tensor:
        """Return the log-probability of all labels of a row together."""
        return -self._nats(normalised_BC, y).sum(-1)

    def noise(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Return one uniform number a label."""
        return torch.rand(n, self.n_outputs, generator=generator)

    def sample(self, normalised_BC: Tensor, noise: Tensor) -> Tensor:
        """Return labels, each there with its probability."""
        return (noise < normalised_BC.sigmoid()).to(torch.float32)
