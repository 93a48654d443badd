"""Avalanche's LwF, whose teacher is in evaluation mode."""

from __future__ import annotations

import copy
from typing import Any

from avalanche.training.plugins import LwFPlugin

from cl_moe.state import State

__all__ = ("FrozenTeacherLwF",)


class FrozenTeacherLwF(LwFPlugin):
    """LwF whose teacher is the network at the end of the last task, in evaluation mode.

    Avalanche leaves the copy in training mode, where dropout changes its outputs from batch to
    batch, and batch normalisation its running statistics.
    """

    def before_training(self, strategy: Any, **kwargs: Any) -> None:
        """Copy the model, if the teacher of a restored state is missing."""
        if self.lwf.expcount and self.lwf.prev_model is None:
            self.lwf.prev_model = copy.deepcopy(strategy.model).eval()

    def after_training_exp(self, strategy: Any, **kwargs: Any) -> None:
        """Copy the model, in evaluation mode."""
        super().after_training_exp(strategy, **kwargs)
        self.lwf.prev_model.eval()

    def state(self) -> State:
        """Return the number of tasks and their classes; the teacher is the model itself."""
        classes = {str(t): sorted(of) for t, of in self.lwf.prev_classes_by_task.items()}
        return State({"tasks": self.lwf.expcount, "classes": classes})

    def restore(self, state: State) -> None:
        """Restore the result of :meth:`state`; the model is copied when training starts."""
        self.lwf.expcount = int(state.plain["tasks"])
        for task, classes in state.plain["classes"].items():
            self.lwf.prev_classes_by_task[int(task)] = set(classes)
