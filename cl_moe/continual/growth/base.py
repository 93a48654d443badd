"""The interface of growth policies."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import Any, Literal

from cl_moe import catalog
from cl_moe.continual.decision import Decision
from cl_moe.continual.view import TaskView
from cl_moe.moe.network import MoENetwork
from cl_moe.state import State

__all__ = ("GrowthPolicy", "make_growth")


class GrowthPolicy(ABC):
    """Decides, when a task arrives, which experts it reuses, grows or retrains.

    A policy reads the new task's training data and the network, in evaluation mode. :meth:`decide`
    changes neither the network nor the policy; :meth:`learned` updates the state of the policy.
    """

    freezes = True
    """Whether the experts of a task are frozen when it ends."""
    max_experts: int | None = None
    """Experts a layer may have in use; None for no limit."""
    protect: Literal["distillation", "ewc", "none"] = "none"
    """How earlier tasks are protected while an expert in use is retrained."""
    protect_strength: float = 0.0
    """Its factor in the loss."""

    @abstractmethod
    def decide(self, view: TaskView, network: MoENetwork) -> Decision:
        """Return the decision for the task."""

    def learned(self, view: TaskView, network: MoENetwork, decision: Decision) -> None:  # noqa: B027
        """Update the policy's state after a task was learned; by default nothing."""

    def state(self) -> State:
        """Return the policy's state, see :class:`~cl_moe.state.Stateful`."""
        return State()

    def restore(self, state: State) -> None:  # noqa: B027 - most policies have no state
        """Restore the result of :meth:`state`."""


def make_growth(name: str, options: Mapping[str, Any] | None = None) -> GrowthPolicy:
    """Return a growth policy by name, its options checked against its constructor.

    Raises:
        InputError: the policy is unknown, or options are invalid: all problems.

    >>> make_growth("per_task").freezes
    True
    """
    policy: GrowthPolicy = catalog.make(
        "growth", GrowthPolicy, name, options or {}, "growth_options", name_place="growth"
    )
    return policy
