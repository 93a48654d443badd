"""Synaptic intelligence: importance gathered along the way of training."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor

from cl_moe.state import State, part_of
from cl_moe.training.regularization import shared_parameters

__all__ = ("SynapticIntelligence",)


class SynapticIntelligence(SupervisedPlugin):
    r"""Holds each weight as firmly as its own way through training lowered the loss.

    Zenke et al. 2017, "Continual learning through synaptic intelligence": the loss gains (eq. 4)

    .. math:: strength \sum_i \Omega_i (\theta_i - \tilde\theta_i)^2

    where :math:`\tilde\theta` stood at the end of the last task and the importance grows with every
    task (eq. 5) by :math:`\omega_i / (\Delta_i^2 + damping)`: the loss that the steps of weight i
    saved, :math:`\omega_i = -\sum g_i \delta_i`, over its whole way :math:`\Delta_i`. The gradient
    :math:`g` is that of the task's own loss, without the penalty's.

    (Avalanche's plugin has no effect on the CPU: there, the weights it notes before a step are the
    same memory as those after, so every step has length zero.)

    Args:
        strength: the factor before the penalty.
        damping: keeps the importance of weights that hardly moved bounded.
    """

    def __init__(self, strength: float, damping: float) -> None:
        super().__init__()
        self.strength, self.damping = strength, damping
        self.importance: dict[str, Tensor] = {}
        self.anchor: dict[str, Tensor] = {}
        self._start: dict[str, Tensor] = {}
        self._saved: dict[str, Tensor] = {}
        self._before: dict[str, tuple[Tensor, Tensor]] = {}

    def state(self) -> State:
        """Return importances, and where the weights are held."""
        kinds = {"importance": self.importance, "anchor": self.anchor}
        return State({}, {f"{k}.{n}": t.clone() for k, of in kinds.items() for n, t in of.items()})

    def restore(self, state: State) -> None:
        """Take back what :meth:`state` gave."""
        self.importance = dict(part_of(state, "importance").tensors)
        self.anchor = dict(part_of(state, "anchor").tensors)

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Begin a way."""
        parameters = shared_parameters(strategy.model)
        self._start = {name: p.detach().clone() for name, p in parameters.items()}
        self._saved = {name: torch.zeros_like(p) for name, p in parameters.items()}

    def before_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Add the penalty to the loss."""
        for name, parameter in shared_parameters(strategy.model).items():
            if name in self.importance:
                deviation = parameter - self.anchor[name]
                penalty = (self.importance[name] * deviation.square()).sum()
                strategy.loss = strategy.loss + self.strength * penalty

    @torch.no_grad()
    def before_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Note the weights and the gradient of the task's own loss."""
        self._before = {}
        for name, parameter in shared_parameters(strategy.model).items():
            if parameter.grad is None:
                continue
            gradient = parameter.grad.clone()
            if name in self.importance:
                deviation = parameter - self.anchor[name]
                gradient -= 2 * self.strength * self.importance[name] * deviation
            self._before[name] = (parameter.detach().clone(), gradient)

    @torch.no_grad()
    def after_update(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Add what the step of each weight saved."""
        parameters = shared_parameters(strategy.model)
        for name, (before, gradient) in self._before.items():
            self._saved[name] -= gradient * (parameters[name] - before)

    @torch.no_grad()
    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """End the way: add importances, and hold the weights where they are now."""
        for name, parameter in shared_parameters(strategy.model).items():
            way = parameter - self._start[name]
            gained = self._saved[name].clamp_min(0) / (way.square() + self.damping)
            self.importance[name] = self.importance.get(name, torch.zeros_like(gained)) + gained
            self.anchor[name] = parameter.detach().clone()
