"""The interface of objectives. Shape letters: B or N rows, C outputs, F factors."""

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
    """The fit of outputs to targets at the best scale.

    Attributes:
        factor: the factor on the outputs.
        loss: mean negative log-likelihood per row, in nats, over all outputs together.
        predicted: (N, C), :meth:`Objective.normalised` of the scaled outputs.
    """

    factor: float
    loss: float
    predicted: Tensor


@dataclass(frozen=True)
class Objective(ABC):
    """The meaning of a network's outputs (B, C), and their loss and metrics against targets.

    A value: two objectives are equal if their kind and number of outputs are equal. Targets may be
    padded with further columns, as in streams of mixed objectives: all methods read :meth:`targets`
    of them.

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
        """Return the arguments with which ``make_objective`` makes an equal objective."""
        return {"name": self.name, "n_outputs": self.n_outputs}

    @property
    def counted(self) -> str:
        """Number of outputs in words, such as ``3 classes``."""
        return f"{self.n_outputs} {self.noun[self.n_outputs != 1]}"

    @abstractmethod
    def targets(self, y: Tensor) -> Tensor:
        """Return targets in the form of the losses, without padding; may be called twice."""

    @abstractmethod
    def target_problems(self, y: Tensor) -> list[str]:
        """Return the problems of a data set's targets, as sentences without a place."""

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
        """Return the score, further metrics and ``loss``, in this order, each over all rows."""

    @abstractmethod
    def calibrate(self, outputs_NC: Tensor, y: Tensor, factors: Sequence[float]) -> Calibrated:
        """Return the fit of a least-squares predictor's outputs to targets, at the best factor.

        Args:
            outputs_NC: out-of-sample outputs of a regression on :meth:`encode`.
            y: targets of these rows.
            factors: candidate factors, for outputs without a scale of their own.
        """

    @abstractmethod
    def calibrated_score(self, outputs_NC: Tensor, y: Tensor) -> tuple[float, float]:
        """Return the score of outputs, and a calibrated loss for comparing candidates.

        The loss is 0 or more, whatever the scale of the outputs (or of the targets); the loss of
        the best constant prediction is :meth:`constant_loss`.
        """

    @abstractmethod
    def constant_loss(self, y: Tensor) -> float:
        """Return the loss, as in :meth:`calibrated_score`, of the best constant prediction."""

    @property
    def chance(self) -> float:
        """The score of a guess without any target."""
        return 0.0

    def strata(self, y: Tensor) -> Tensor:
        """Return each row's stratum (N,), int64, for stratified draws; by default a single one."""
        return torch.zeros(len(y), dtype=torch.int64)

    def normalised(self, outputs_BC: Tensor) -> Tensor:
        """Return the parameters of the predictive distribution of targets."""
        return outputs_BC

    @abstractmethod
    def log_prob(self, normalised_BC: Tensor, y: Tensor) -> Tensor:
        """Return the log-probability (density) of targets (B,), in nats, all outputs together."""

    @abstractmethod
    def noise(self, n: int, generator: torch.Generator | None) -> Tensor:
        """Return random numbers (n, ...) for :meth:`sample` of n rows."""

    @abstractmethod
    def sample(self, normalised_BC: Tensor, noise: Tensor) -> Tensor:
        """Return targets drawn from the predictive distribution."""
