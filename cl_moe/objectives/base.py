"""What an objective must offer. Shape letters: B or N rows, C outputs, F factors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal, NamedTuple

import torch
from torch import Tensor

from cl_moe.errors import InputError

__all__ = ("Calibrated", "Objective", "Reduction")

Reduction = Literal["none", "mean"]


class Calibrated(NamedTuple):
    """How well outputs predict targets, once they are brought to the right scale.

    Attributes:
        factor: what the outputs are multiplied by.
        loss: mean negative log-likelihood of a row, in nats: of all its outputs together.
        predicted: (N, C), what :meth:`Objective.normalised` gives for the scaled outputs.
    """

    factor: float
    loss: float
    predicted: Tensor


@dataclass(frozen=True)
class Objective(ABC):
    """What the outputs (B, C) of a network mean, and how they are compared with targets.

    A plain value: two objectives are equal where kind and number of outputs are. Targets may be
    padded with further columns, as they are in streams of mixed objectives: all methods read
    :meth:`targets` of them.

    Args:
        n_outputs: number of outputs C.

    Raises:
        InputError: no output.

    >>> from cl_moe.objectives.regression import Regression
    >>> Regression(2) == Regression(2), Regression(2) == Regression(1)
    (True, False)
    """

    name: ClassVar[str]
    score: ClassVar[str]  # the primary metric, see cl_moe.objectives.SCORES
    higher_is_better: ClassVar[Mapping[str, bool]]  # of each metric
    noun: ClassVar[tuple[str, str]]  # one output, several outputs

    n_outputs: int

    def __post_init__(self) -> None:
        if self.n_outputs < 1:
            raise InputError(f"{self.name}: {self.n_outputs} {self.noun[1]}; give 1 or more")

    def state(self) -> dict[str, str | int]:
        """Return what :func:`cl_moe.objectives.named.make_objective` makes an equal one of."""
        return {"name": self.name, "n_outputs": self.n_outputs}

    @property
    def counted(self) -> str:
        """Number of outputs in words, such as ``3 classes``."""
        return f"{self.n_outputs} {self.noun[self.n_outputs != 1]}"

    @abstractmethod
    def targets(self, y: Tensor) -> Tensor:
        """Return targets as the losses read them, without padding; they may be so already."""

    @abstractmethod
    def target_problems(self, y: Tensor) -> list[str]:
        """Return what is wrong with the targets of a data set, as sentences without a place."""

    @abstractmethod
    def loss(self, outputs_BC: Tensor, y: Tensor, reduction: Reduction = "mean") -> Tensor:
        """Return the training loss: of each row (B,), or their mean."""

    @abstractmethod
    def predict(self, outputs_BC: Tensor) -> Tensor:
        """Return predictions in the form of :meth:`targets`."""

    @abstractmethod
    def encode(self, y: Tensor) -> Tensor:
        """Return the targets (N, C), float64, of a least-squares fit of the outputs."""

    @abstractmethod
    def metrics(self, outputs_BC: Tensor, y: Tensor) -> Mapping[str, float]:
        """Return the score first, then further metrics, then ``loss``, each over all rows."""

    @abstractmethod
    def calibrate(self, outputs_NC: Tensor, y: Tensor, factors: Sequence[float]) -> Calibrated:
        """Return how well outputs of a least-squares fit predict targets, at the best factor.

        Args:
            outputs_NC: what regression on :meth:`encode` gives for rows that it was not fitted to.
            y: targets of these rows.
            factors: to choose from, for outputs that have no scale of their own.
        """

    @abstractmethod
    def calibrated_score(self, outputs_NC: Tensor, y: Tensor) -> tuple[float, float]:
        """Return the score of outputs, and a loss that candidates are compared by.

        The loss is 0 or more, whatever the scale of the outputs (or of the targets); that of
        answering all rows alike is :meth:`constant_loss`.
        """

    @abstractmethod
    def constant_loss(self, y: Tensor) -> float:
        """Return the loss (of :meth:`calibrated_score`) of the best answer that is the same for all rows."""

    @property
    def chance(self) -> float:
        """The score of a guess that has seen no target."""
        return 0.0

    def strata(self, y: Tensor) -> Tensor:
        """Return the stratum (N,), int64, of each row in a stratified draw: all are in one."""
        return torch.zeros(len(y), dtype=torch.int64)

    def normalised(self, outputs_BC: Tensor) -> Tensor:
        """Return the parameters of the distribution of targets that outputs stand for."""
        return outputs_BC

    @abstractmethod
    def log_prob(self, normalised_BC: Tensor, y: Tensor) -> Tensor:
        """Return the log-probability (density) of targets (B,), in nats, all outputs together."""

    @abstractmethod
    def noise(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Return the random numbers, (n, ...), that :meth:`sample` makes targets of n rows of."""

    @abstractmethod
    def sample(self, normalised_BC: Tensor, noise: Tensor) -> Tensor:
        """Return targets drawn from the distribution that outputs stand for."""
