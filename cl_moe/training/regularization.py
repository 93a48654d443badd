"""A penalty from :mod:`cl_moe.continual.regularizers` in an Avalanche strategy's loss."""

from __future__ import annotations

from typing import Any

from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor, nn
from torch.func import functional_call

from cl_moe.continual.regularizers.base import Parameters, Regularizer
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.state import State
from cl_moe.training.model import TaskModel
from cl_moe.training.objectives import objectives_by_task
from cl_moe.training.samples import samples

__all__ = ("RegularizationPlugin", "shared_parameters")


class RegularizationPlugin(SupervisedPlugin):
    """Adds a regularizer's penalty to the loss, and consolidates at the end of every task.

    The protected parameters are the trainable ones outside the heads of single tasks: an old task's
    head gets no gradient while another task is learned, so a penalty on it would be zero.

    Args:
        regularizer: computes the penalty.
    """

    def __init__(self, regularizer: Regularizer) -> None:
        super().__init__()
        self.regularizer = regularizer
        self._parameters: dict[str, nn.Parameter] = {}

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Collect the shared parameters once: a pass over all heads per step would be slow."""
        self._parameters = shared_parameters(strategy.model)

    def before_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Add the penalty to the loss of the batch."""
        if self._parameters:
            strategy.loss = strategy.loss + self.regularizer.penalty(self._parameters)

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Consolidate on the training data of the finished task."""
        model, parameters = strategy.model, self._parameters
        self._parameters = {}
        if not parameters:
            return
        x, y, tasks = samples(strategy.experience.dataset.eval())
        was_training = model.training
        model.eval()
        for task, objective in objectives_by_task(strategy.experience.dataset).items():
            mine = tasks == task
            classes = isinstance(objective, Classification)
            self.regularizer.consolidate(
                parameters,
                _LogLikelihood(model.network, task, objective),
                x[mine].to(strategy.device),
                objective.targets(y[mine]).to(strategy.device),
                **({} if classes else {"objective": objective}),
            )
        model.train(was_training)

    def state(self) -> State:
        """Return the regularizer's state."""
        return self.regularizer.state()

    def restore(self, state: State) -> None:
        """Restore the result of :meth:`state`."""
        self.regularizer.restore(state)


class _LogLikelihood:
    """log p(y | x) of one task as a function of some of the network's parameters."""

    def __init__(self, network: nn.Module, task: int, objective: Objective) -> None:
        self.network, self.task, self.objective = network, task, objective

    def __call__(self, parameters: Parameters, x_BX: Tensor) -> Tensor:
        outputs: Tensor = functional_call(self.network, dict(parameters), (x_BX, self.task))
        return self.objective.normalised(outputs)


def shared_parameters(model: TaskModel) -> dict[str, nn.Parameter]:
    """Return the trainable parameters outside the heads of single tasks.

    >>> from cl_moe import NetworkSpec, build_moe
    >>> list(shared_parameters(build_moe(NetworkSpec(hidden=[8]), shape=(4,), seed=0)))[0]
    'backbone.layers.0.pool.experts.e0.0.weight'
    """
    found = dict(model.network.named_parameters(recurse=False))
    for name, part in model.network.named_children():
        if name != "heads":  # a pass over all heads per step would be slow
            found |= dict(part.named_parameters(name))
    own = {id(parameter): name for name, parameter in reversed(found.items())}
    return {n: p for n, p in found.items() if p.requires_grad and own[id(p)] == n}
