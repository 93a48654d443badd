"""What a penalty on the loss must offer: a value while learning, and an end of the task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch import Tensor

from cl_moe.objectives.base import Objective
from cl_moe.state import State

__all__ = ("LogLikelihood", "Parameters", "Regularizer")

Parameters = Mapping[str, Tensor]
"""Parameters by name. A penalty touches these alone: a whole trunk, or one expert."""

LogLikelihood = Callable[[Parameters, Tensor], Tensor]
"""``(parameters, x_BX) -> log p(y | x)_BC``: the log-probability of every class for every row.

Of a task with another objective, what
:meth:`~cl_moe.objectives.base.Objective.normalised` makes of its outputs.

The parameters are an argument (see :func:`torch.func.functional_call`), so that one and the same
network can be asked about a part of its parameters only.
"""


class Regularizer(ABC):
    """A penalty that keeps chosen parameters near what earlier tasks need.

    It never sees a strategy or a model, only named parameters; whoever holds the model decides
    which ones are protected.
    """

    @abstractmethod
    def penalty(self, parameters: Parameters) -> Tensor:
        """Return the penalty at ``parameters``: a scalar, to be added to the mean loss of a batch.

        Names that no finished task has seen are free of charge. The parameters must not be empty.
        """

    @abstractmethod
    def consolidate(
        self,
        parameters: Parameters,
        log_likelihood: LogLikelihood,
        x_NX: Tensor,
        y_N: Tensor,
        objective: Objective | None = None,
    ) -> None:
        """End a task: remember where ``parameters`` stand and how much each of them matters.

        Args:
            parameters: the protected parameters, at the end of the task.
            log_likelihood: the network in evaluation mode, as a function of them.
            x_NX: training inputs of the task that ends, N rows.
            y_N: their labels, integers; or targets, (N, ...), as the objective reads them.
            objective: what the task's outputs mean; None: classes.
        """

    @abstractmethod
    def state(self) -> State:
        """Return what is remembered of the tasks so far, see :class:`~cl_moe.state.Stateful`."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Take back what :meth:`state` gave."""
