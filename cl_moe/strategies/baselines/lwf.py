"""Avalanche's LwF, whose teacher is in evaluation mode."""

from __future__ import annotations

from typing import Any

from avalanche.training.plugins import LwFPlugin

__all__ = ("FrozenTeacherLwF",)


class FrozenTeacherLwF(LwFPlugin):
    """LwF whose teacher is the network at the end of the last task, in evaluation mode.

    Avalanche leaves the copy in training mode, where dropout changes its outputs from batch to
    batch, and batch normalisation its running statistics.
    """

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Copy the model, in evaluation mode."""
        super().after_training_exp(strategy, **kwargs)
        self.lwf.prev_model.eval()
