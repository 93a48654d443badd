"""Networks whose parts of finished tasks are frozen."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterable

from torch import nn

from cl_moe.moe.dense import TaskNetwork
from cl_moe.moe.freezing import set_mode

__all__ = ("FreezingNetwork",)


class FreezingNetwork(TaskNetwork):
    """A network in which one task is trained; the parts of all others are frozen.

    Parameters, buffers and mode are frozen: a frozen part takes no gradient, and is in evaluation
    mode while the network trains, so that batch normalisation keeps its running statistics and
    dropout is off.

    Attributes:
        learning: label of the task in training, as text; None before the first.
    """

    def __init__(self) -> None:
        super().__init__()
        self.learning: str | None = None

    @abstractmethod
    def parts(self, task: str) -> Iterable[nn.Module]:
        """Return the modules that training a task changes, its head included."""

    def train(self, mode: bool = True) -> FreezingNetwork:
        """Set training or evaluation mode; frozen parts stay in evaluation mode."""
        set_mode(self, mode)
        if mode and self.learning is not None:
            set_mode(self, False)
            self.training = True
            for part in self.parts(self.learning):
                set_mode(part, True)
        return self

    def reopen(self, task: int) -> None:
        """Make only the parts of one task trainable: of a new or a recurring task."""
        self.learning = str(task)
        self.requires_grad_(False)
        for part in self.parts(self.learning):
            part.requires_grad_(True)
        self.train(self.training)
