"""Synaptic intelligence: importance accumulated along the training trajectory."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor

from cl_moe.state import State, part_of
from cl_moe.training.regularization import shared_parameters

__all__ = ("SynapticIntelligence",)


class SynapticIntelligence(SupervisedPlugin):
    r"""Penalises changes of each weight by its contribution to the decrease of the loss.

    Zenke et al. 2017, "Continual learning through synaptic intelligence": the loss gains (eq. 4)

    .. math:: strength \sum_i \Omega_i (\theta_i - \tilde\theta_i)^2

    where :math:`\tilde\theta` are the weights at the end of the last task and the importance grows
    with every task (eq. 5) by :math:`\omega_i / (\Delta_i^2 + damping)`: the decrease of the loss
    by the steps of weight i, :math:`\omega_i = -\sum g_i \delta_i`, over its total change
    :math:`\Delta_i`. The gradient :math:`g` is that of the task's own loss, without the penalty.

    (Avalanche's plugin has no effect on the CPU: there, the weights stored before a step share
    memory with those after it, so every step has length zero.)

    Args:
        strength: the factor before the penalty.
        damping: bounds the importance of weights that hardly changed.
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
        """Return importances and reference weights, and the trajectory of the current task."""
        kinds = {
            "importance": self.importance,
            "anchor": self.anchor,
            "start": self._start,
            "saved": self._saved,
        }
        return State({}, {f"{k}.{n}": t.clone() for k, of in kinds.items() for n, t in of.items()})

    def restore(self, state: State) -> None:
        """Restore the result of :meth:`state`."""
        self.importance = dict(part_of(state, "importance").tensors)
        self.anchor = dict(part_of(state, "anchor").tensors)
        self._start = dict(part_of(state, "start").tensors)
        self._saved = dict(part_of(state, "saved").tensors)

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Start a trajectory."""
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
        """Store the weights and the gradient of the task's own loss."""
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
        """Add the decrease of the loss by each weight's step."""
        parameters = shared_parameters(strategy.model)
        for name, (before, gradient) in self._before.items():
            self._saved[name] -= gradient * (parameters[name] - before)

    @torch.no_grad()
    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """End the trajectory: update the importances and the reference weights."""
        for name, parameter in shared_parameters(strategy.model).items():
            way = parameter - self._start[name]
            gained = self._saved[name].clamp_min(0) / (way.square() + self.damping)
            self.importance[name] = self.importance.get(name, torch.zeros_like(gained)) + gained
            self.anchor[name] = parameter.detach().clone()
