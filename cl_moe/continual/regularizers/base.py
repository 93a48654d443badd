"""The interface of regularizers: a penalty during training, and consolidation after a task."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

from torch import Tensor

from cl_moe.objectives.base import Objective
from cl_moe.state import State

__all__ = ("LogLikelihood", "Parameters", "Regularizer")

Parameters = Mapping[str, Tensor]
"""Parameters by name. A penalty depends on these only: a whole trunk, or one expert."""

LogLikelihood = Callable[[Parameters, Tensor], Tensor]
"""``(parameters, x_BX) -> log p(y | x)_BC``: the log-probability of every class for every row.

For other objectives, :meth:`~cl_moe.objectives.base.Objective.normalised` of the outputs.

The parameters are an argument (see :func:`torch.func.functional_call`), so that the gradient can be
taken for some of a network's parameters only.
"""


class Regularizer(ABC):
    """A penalty that keeps given parameters near the values that earlier tasks need.

    It is independent of strategies and models: the caller decides which named parameters are
    protected.
    """

    @abstractmethod
    def penalty(self, parameters: Parameters) -> Tensor:
        """Return the penalty at ``parameters``: a scalar, to be added to the mean loss of a batch.

        Parameters that no finished task has used add nothing. The mapping must not be empty.
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
        """Store the values of ``parameters`` at the end of a task, and their importance.

        Args:
            parameters: the protected parameters, at the end of the task.
            log_likelihood: the network in evaluation mode, as a function of the parameters.
            x_NX: training inputs of the task that ends, N rows.
            y_N: their labels, integers; or targets, (N, ...), as the objective reads them.
            objective: what the task's outputs mean; None: classes.
        """

    @abstractmethod
    def state(self) -> State:
        """Return the state after the tasks so far, see :class:`~cl_moe.state.Stateful`."""

    @abstractmethod
    def restore(self, state: State) -> None:
        """Restore the result of :meth:`state`."""
