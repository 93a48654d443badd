"""Networks whose earlier tasks are finished: nothing of them moves, whatever is learned later."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

from torch import nn

from cl_moe.moe.dense import TaskNetwork
from cl_moe.moe.freezing import set_mode

__all__ = ("FreezingNetwork",)


class FreezingNetwork(TaskNetwork):
    """A network in which one task learns; the parts of all others are frozen.

    Frozen are parameters, buffers and mode: a finished part takes no gradient, and is in evaluation
    mode while the network trains, so that batch normalisation keeps its running statistics and
    dropout is off.

    Attributes:
        learning: label of the task that learns, as text; None before the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.learning: str | None = None

    @abstractmethod
    def parts(self, task: str) -> Iterable[nn.Module]:
        """Return what a task changes when it learns, its head included."""

    def train(self, mode: bool = True) -> FreezingNetwork:
        """Set training or evaluation mode; what is finished stays in evaluation mode."""
        set_mode(self, mode)
        if mode and self.learning is not None:
            set_mode(self, False)
            self.training = True
            for part in self.parts(self.learning):
                set_mode(part, True)
        return self

    def reopen(self, task: int) -> None:
        """Let a task learn, and no other: a new one, or one whose label came back."""
        self.learning = str(task)
        self.requires_grad_(False)
        for part in self.parts(self.learning):
            part.requires_grad_(True)
        self.train(self.training)
