"""What a growth policy is, what it decides, and how one is made."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from cl_moe import catalog
from cl_moe.continual.view import TaskView
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork

__all__ = (
    "Candidate", "Expert", "GrowthDecision", "GrowthPolicy", "fresh_expert", "make_growth",
)  # fmt: skip

Expert = str | nn.Module
"""An expert of a path: the id of one that exists, or a module that is to join the pool."""


@dataclass(frozen=True)
class Candidate:
    """A way to learn the task that was weighed, with the evidence for it.

    Attributes:
        kind: what would be done (``"take over"``, ``"reuse"``, ``"copy"``, ``"fresh"``, ...).
        source: label of the earlier task it builds on; None for none.
        accuracy: accuracy on examples of the task that it was not fitted to, 0 to 1; None where it
            was ruled out before being tried.
        loss: calibrated cross-entropy on those examples, in nats.
        dropped: it fell behind while it was trained, and was not trained on.
        gain: score of the source's features minus the score of the raw input; None without source.
    """

    kind: str
    source: int | None = None
    accuracy: float | None = None
    gain: float | None = None
    loss: float | None = None
    dropped: bool = False


@dataclass(frozen=True)
class GrowthDecision:
    """How a new task will be answered. A value: the plugin applies it.

    Attributes:
        kind: as in :class:`Candidate`, or ``"fixed"``, ``"reassign"``.
        path: experts the task may use, layer by layer; empty where the head reads earlier paths.
        head: the task's head.
        source: label of the earlier task it builds on.
        train: whether the task is trained at all; False where the decision leaves nothing to learn.
        retrain: (layer, id) of experts in the path that are trained although others use them.
        candidates: everything that was weighed.
        chosen: position of the winner among them; None where nothing was weighed.
        steps: optimizer steps that deciding took.
        learned: those of them that trained what the path and the head are now; the task's own
            training is shorter by as many.
        learned_seconds: what they took, on the CPU.
    """

    kind: str
    path: tuple[tuple[Expert, ...], ...]
    head: nn.Module
    source: int | None = None
    train: bool = True
    retrain: tuple[tuple[int, str], ...] = ()
    candidates: tuple[Candidate, ...] = field(default=())
    chosen: int | None = None
    steps: int = 0
    learned: int = 0
    learned_seconds: float = 0.0


class GrowthPolicy(ABC):
    """Decides, when a task arrives, which experts it uses, grows or takes over.

    A policy reads the network and changes nothing; it sees the new task's training data only.
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
    def decide(self, view: TaskView, network: MoENetwork) -> GrowthDecision:
        """Return how the task is to be answered."""


def make_growth(name: str, options: Mapping[str, Any] | None = None) -> GrowthPolicy:
    """Return a growth policy by name, its options checked against its constructor.

    Raises:
        InputError: no such policy, or options that do not fit: all problems.

    >>> make_growth("per_task").freezes
    True
    """
    policy: GrowthPolicy = catalog.make(
        "growth", GrowthPolicy, name, options or {}, "growth_options", name_place="growth"
    )
    return policy


def fresh_expert(layer: MoELayer) -> Expert:
    """Return an expert that no task uses: one that waits in the pool, or else a new one."""
    taken = {id_ for experts in layer.assigned.values() for id_ in experts}
    waiting = [id_ for id_ in layer.pool.ids if id_ not in taken]
    return waiting[0] if waiting else layer.make_next()
