"""Elastic weight consolidation as Avalanche has it, at the cost of one task however many ended."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_moe.continual.regularizers.base import LogLikelihood, Parameters, Regularizer
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.state import State, part_of

__all__ = ("BatchEWC", "batch_fisher")


class BatchEWC(Regularizer):
    r"""The penalty of Avalanche's ``EWCPlugin(strength, mode="separate")``, in one parabola.

    Kirkpatrick et al. 2017, "Overcoming catastrophic forgetting in neural networks", with one term
    a finished task :math:`t`, without the paper's 1/2, and with :func:`batch_fisher` for the Fisher
    information (:class:`~cl_moe.continual.regularizers.ewc.EWC` takes it sample by sample):

    .. math:: strength \sum_t \sum_i F_{t,i} (\theta_i - \theta^*_{t,i})^2

    The sum is a parabola around the parameters :math:`\theta^*` of the last task. Three things are
    kept, none of which grows with the number of tasks: its stiffness :math:`\sum_t F_t`, its slope
    at the centre :math:`2 \sum_t F_t (\theta^* - \theta^*_t)`, and its value there. (A centre where
    the slope is zero would be rounded, and the gradient near the last task's parameters with it.)

    With a decay :math:`\gamma` it is the penalty of ``EWCPlugin(strength, mode="online")``
    (Schwarz et al. 2018, "Progress & compress", section 3.2), centred at the last task alone:

    .. math:: strength \sum_i S_{t,i} (\theta_i - \theta^*_{t,i})^2, \quad
              S_t = \gamma S_{t-1} + F_t, \quad S_1 = F_1

    Args:
        strength: Avalanche's ``ewc_lambda``.
        batch_size: rows a batch of :func:`batch_fisher`.
        decay: how much of the old importance is kept with each task, 0 to 1; None for a separate
            term a task.

    >>> theta = torch.zeros(1, requires_grad=True)
    >>> ewc = BatchEWC(strength=2.0, batch_size=1)
    >>> coin = lambda p, x_B: torch.nn.functional.logsigmoid(torch.stack([-p["w"], p["w"]], -1))
    >>> ewc.consolidate({"w": theta}, coin, torch.zeros(2, 1), torch.tensor([0, 1]))
    >>> ewc.penalty({"w": torch.tensor([2.0])})  # Fisher of a fair coin: 1/4
    tensor(2.)
    """

    def __init__(self, strength: float, batch_size: int, decay: float | None = None) -> None:
        assert strength >= 0
        assert batch_size > 0
        assert decay is None or 0 <= decay <= 1
        self.strength, self.batch_size, self.decay = strength, batch_size, decay
        self.fisher: dict[str, Tensor] = {}
        self.gradient: dict[str, Tensor] = {}
        self.centre: dict[str, Tensor] = {}
        self.value = 0.0

    def penalty(self, parameters: Parameters) -> Tensor:
        """Return the penalty; its gradient is ``2 strength sum_t F_t (theta - theta*_t)``."""
        total = next(iter(parameters.values())).new_zeros(()) + self.value
        for name, parameter in parameters.items():
            if name in self.fisher:
                total = total + self._increase(name, parameter)
        return self.strength * total

    @torch.no_grad()
    def consolidate(
        self,
        parameters: Parameters,
        log_likelihood: LogLikelihood,
        x_NX: Tensor,
        y_N: Tensor,
        objective: Objective | None = None,
    ) -> None:
        """Add the parabola of the task that ends, see :class:`BatchEWC`."""
        new = batch_fisher(parameters, log_likelihood, x_NX, y_N, self.batch_size, objective)
        for name, parameter in parameters.items():
            centre = parameter.detach().clone()
            if name in self.fisher and self.decay is not None:
                self.fisher[name] = self.decay * self.fisher[name] + new[name]
            elif name in self.fisher:
                self.value += float(self._increase(name, centre))
                deviation = centre - self.centre[name]
                self.gradient[name] = self.gradient[name] + 2 * self.fisher[name] * deviation
                self.fisher[name] = self.fisher[name] + new[name]
            else:
                self.fisher[name], self.gradient[name] = new[name], torch.zeros_like(centre)
            self.centre[name] = centre

    def state(self) -> State:
        """Return the parabola."""
        kinds = {"fisher": self.fisher, "gradient": self.gradient, "centre": self.centre}
        tensors = {f"{kind}.{n}": t.clone() for kind, of in kinds.items() for n, t in of.items()}
        return State({"value": self.value}, tensors)

    def restore(self, state: State) -> None:
        """Take back what :meth:`state` gave."""
        self.value = float(state.plain["value"])
        self.fisher = dict(part_of(state, "fisher").tensors)
        self.gradient = dict(part_of(state, "gradient").tensors)
        self.centre = dict(part_of(state, "centre").tensors)

    def _increase(self, name: str, parameter: Tensor) -> Tensor:
        """Return by how much one tensor's parabola is higher than at its centre."""
        deviation = parameter - self.centre[name]
        return (torch.addcmul(self.gradient[name], self.fisher[name], deviation) * deviation).sum()


@torch.no_grad()
def batch_fisher(
    parameters: Parameters,
    log_likelihood: LogLikelihood,
    x_NX: Tensor,
    y_N: Tensor,
    batch_size: int,
    objective: Objective | None = None,
) -> dict[str, Tensor]:
    r"""Return what Avalanche takes for the diagonal Fisher information, by name.

    The gradient of the mean loss of a BATCH, with the given labels, is squared, and the mean taken
    over the batches: rows in their order, the last batch may be smaller. It shrinks by up to the
    size of the batch against that of single samples.

    Args:
        parameters: what to differentiate by.
        log_likelihood: gives log-probabilities [B, C] of rows [B, ...].
        x_NX: N rows.
        y_N: their labels.
        batch_size: rows a batch.
        objective: what outputs mean; None: classes.

    >>> line = lambda p, x_B: (x_B @ p["w"]).log_softmax(-1)
    >>> w, x = torch.zeros(1, 2), torch.tensor([[2.0], [4.0]])
    >>> batch_fisher({"w": w}, line, x, torch.tensor([0, 1]), batch_size=2)["w"]  # ((2 - 4) / 4)^2
    tensor([[0.2500, 0.2500]])
    """
    detached = {name: parameter.detach() for name, parameter in parameters.items()}
    total = {name: torch.zeros_like(parameter) for name, parameter in detached.items()}

    aim = Classification(1) if objective is None else objective  # of any number of classes

    def of_batch(given: Parameters, x_BX: Tensor, y_B: Tensor) -> Tensor:
        return aim.log_prob(log_likelihood(given, x_BX), y_B).mean()

    gradient = torch.func.grad(of_batch)
    batches = list(zip(x_NX.split(batch_size), y_N.split(batch_size), strict=True))
    for x_BX, y_B in batches:
        for name, value in gradient(detached, x_BX, y_B).items():
            total[name] += value.square()
    return {name: value / len(batches) for name, value in total.items()}
