"""Avalanche's RWalk, made to know the heads of new tasks and to leave the model as it was."""

from __future__ import annotations

from typing import Any

from avalanche.training.plugins import RWalkPlugin
from avalanche.training.utils import copy_params_dict, zerolike_params_dict

__all__ = ("RiemannianWalk",)


class RiemannianWalk(RWalkPlugin):
    """RWalk that takes note of parameters which appear when a task arrives.

    Avalanche's begins its books before the model is adapted to the task, and does not find the new
    head's parameters in them. And it leaves the model in evaluation mode once it has looked at a
    gradient, before every step.
    """

    checkpoint_loss: dict[str, Any]
    checkpoint_scores: dict[str, Any]
    checkpoint_params: dict[str, Any]

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Open the books of parameters that are new."""
        self.checkpoint_loss = zerolike_params_dict(strategy.model) | self.checkpoint_loss
        self.checkpoint_scores = zerolike_params_dict(strategy.model) | self.checkpoint_scores
        self.checkpoint_params = copy_params_dict(strategy.model) | self.checkpoint_params

    def _update_grad(self, strategy: Any) -> None:
        """Note the gradient of the loss, in evaluation mode; the step is in training mode."""
        training = strategy.model.training
        super()._update_grad(strategy)
        strategy.model.train(training)
