"""What a growth policy is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Literal

from cl_moe.continual.decision import Decision
from cl_moe.continual.view import TaskView
from cl_moe.moe.network import MoENetwork
from cl_moe.state import State

__all__ = ("GrowthPolicy",)


class GrowthPolicy(ABC):
    """Decides, when a task arrives, which experts it uses, grows or takes over.

    A policy sees the new task's training data only. It reads the network, in evaluation mode, and
    changes nothing, itself included: what it is to remember of a task it notes in :meth:`learned`.
    """

    freezes = True
    """Whether the experts of a task are frozen when it ends."""
    max_experts: int | None = None
    """Experts a layer may have in use; None for no limit."""
    protect: Literal["distillation", "ewc", "none"] = "none"
    """What shields earlier tasks while an expert in use is retrained."""
    protect_strength: float = 0.0
    """Its factor in the loss."""

    @abstractmethod
    def decide(self, view: TaskView, network: MoENetwork) -> Decision:
        """Return how the task is to be answered."""

    def learned(self, view: TaskView, network: MoENetwork, decision: Decision) -> None:  # noqa: B027
        """Remember a task that has been learned as was decided; most policies need not."""

    def state(self) -> State:
        """Return what is remembered, see :class:`~cl_moe.state.Stateful`."""
        return State()

    def restore(self, state: State) -> None:  # noqa: B027 - most policies remember nothing
        """Take back what :meth:`state` gave."""
