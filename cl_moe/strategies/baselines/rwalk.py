"""Avalanche's RWalk, with support for the heads of new tasks."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.plugins import RWalkPlugin
from avalanche.training.utils import copy_params_dict, zerolike_params_dict

from cl_moe.state import State
from cl_moe.strategies.baselines.named_data import data_by_name, state_of_data

__all__ = ("RiemannianWalk",)


KINDS = (
    "checkpoint_loss", "checkpoint_scores", "checkpoint_params",
    "iter_grad", "iter_importance", "iter_params",
    "exp_scores", "exp_params", "exp_importance", "exp_penalties",
)  # fmt: skip
"""The statistics of Avalanche's plugin, each a tensor per parameter."""


class RiemannianWalk(RWalkPlugin):
    """RWalk that includes parameters that are added when a task arrives.

    Avalanche's RWalk lists the parameters before the model is adapted to the task, so that it fails
    on the new head's parameters. It also leaves the model in evaluation mode after each gradient,
    before every step, and divides by the largest score, which is 0 where a task has fewer steps
    than pass between two updates.
    """

    checkpoint_loss: dict[str, Any]
    checkpoint_scores: dict[str, Any]
    checkpoint_params: dict[str, Any]

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Initialise the statistics of new parameters."""
        self.checkpoint_loss = zerolike_params_dict(strategy.model) | self.checkpoint_loss
        self.checkpoint_scores = zerolike_params_dict(strategy.model) | self.checkpoint_scores
        self.checkpoint_params = copy_params_dict(strategy.model) | self.checkpoint_params

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Set the penalties; without a score or an importance above 0, that part of them is 0."""
        super().after_training_exp(strategy, *args, **kwargs)
        parts = (self.exp_scores or {}, self.exp_importance or {})
        largest = [max(value.data.max() for value in part.values()) for part in parts]
        if all(most > 0 for most in largest):
            return
        for name, penalty in (self.exp_penalties or {}).items():
            penalty.data = torch.zeros_like(penalty.data)
            for part, most in zip(parts, largest, strict=True):
                if not most <= 0:  # nan, too: a run that diverged stays so
                    value = part[name].expand(penalty.data.shape)
                    penalty.data = penalty.data + value.clamp_min(0) / most

    def _update_grad(self, strategy: Any) -> None:
        """Store the loss gradient, taken in evaluation mode, and restore training mode."""
        training = strategy.model.training
        super()._update_grad(strategy)
        strategy.model.train(training)

    def state(self) -> State:
        """Return all statistics."""
        return state_of_data({kind: getattr(self, kind) for kind in KINDS})

    def restore(self, state: State) -> None:
        """Restore the result of :meth:`state`."""
        for kind, held in data_by_name(state).items():
            setattr(self, kind, held)
