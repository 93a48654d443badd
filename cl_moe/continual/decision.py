"""What is decided for a new task, and the evidence for it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import nn

from cl_moe.moe.edits import Add, Assign, Edit, Train, base_part, expert_part, head_part
from cl_moe.moe.heads.base import Head
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork

__all__ = ("Candidate", "Decision", "Evidence", "Expert", "decide_path", "fresh_expert")

Expert = str | nn.Module
"""An expert of a path: the id of one that exists, or a module that is to join the pool."""


@dataclass(frozen=True)
class Candidate:
    """A way to learn the task that was weighed, with the evidence for it.

    Attributes:
        kind: what would be done (``"matched"``, ``"reuse"``, ``"copy"``, ``"fresh"``, ...).
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
class Evidence:
    """Why a decision was made.

    Attributes:
        source: label of the earlier task that it builds on.
        candidates: everything that was weighed.
        chosen: position of the winner among them; None where nothing was weighed.
    """

    source: int | None = None
    candidates: tuple[Candidate, ...] = ()
    chosen: int | None = None

    @property
    def winner(self) -> Candidate | None:
        """The candidate that was chosen."""
        return None if self.chosen is None else self.candidates[self.chosen]


@dataclass(frozen=True)
class Decision:
    """How a new task will be answered. A value: the plugin applies its edits.

    Attributes:
        kind: as in :class:`Candidate`, or ``"fixed"``, ``"reassign"``.
        edits: what changes in the network: one :class:`~cl_moe.moe.edits.Assign`, experts that are
            added for it, and what is trained.
        evidence: why.
        retrain: (slot's place, id) of experts that are trained although other tasks use them.
        train: whether gradient descent follows; False where the decision leaves nothing to learn.
        steps: optimizer steps that deciding took.
        learned: those of them that trained what the path and the head are now; the task's own
            training is shorter by as many.
        learned_seconds: what they took, on the CPU.
    """

    kind: str
    edits: tuple[Edit, ...]
    evidence: Evidence = field(default_factory=Evidence)
    retrain: tuple[tuple[int, str], ...] = ()
    train: bool = True
    steps: int = 0
    learned: int = 0
    learned_seconds: float = 0.0

    @property
    def assign(self) -> Assign:
        """The edit that gives the task its experts and its head."""
        return next(edit for edit in self.edits if isinstance(edit, Assign))

    @property
    def head(self) -> Head:
        """The task's head."""
        return self.assign.head

    @property
    def added(self) -> dict[str, nn.Module]:
        """The experts that are added, by slot and key."""
        return {expert_part(e.slot, e.key): e.expert for e in self.edits if isinstance(e, Add)}

    @property
    def path(self) -> tuple[tuple[Expert, ...], ...]:
        """The task's experts, slot by slot: ids, and modules that are added."""
        added = self.added
        return tuple(
            tuple(added.get(expert_part(slot, name), name) for name in names)
            for slot, names in self.assign.experts.items()
        )


def decide_path(
    network: MoENetwork,
    task: int,
    path: Sequence[Sequence[Expert]],
    head: Head,
    retrain: Sequence[tuple[int, str]] = (),
) -> tuple[Edit, ...]:
    """Return the edits that give a task a path.

    Args:
        network: the network, which is left as it is.
        task: the task's label.
        path: its experts, slot by slot; modules are added. Empty where the head reads other paths.
        head: its head.
        retrain: (slot's place, id) of frozen experts of the path that are trained all the same.
    """
    adds: list[Edit] = []
    experts: dict[str, tuple[str, ...]] = {}
    trained = {head_part(task)}
    for place, (layer, chosen) in enumerate(zip(network.moe_layers, path, strict=False)):
        names = []
        for number, expert in enumerate(chosen):
            name = expert if isinstance(expert, str) else f"new {number}"
            if not isinstance(expert, str):
                adds.append(Add(layer.name, name, expert))
            if name not in layer.pool or name in layer.pool.experts.trainable:
                trained.add(expert_part(layer.name, name))
            names.append(name)
        if not layer.gate.task_aware:  # it offers a task all experts that exist
            trained |= {expert_part(layer.name, id_) for id_ in layer.pool.trainable}
        trained |= {expert_part(layer.name, id_) for depth, id_ in retrain if depth == place}
        experts[layer.name] = tuple(names)
    common = [network.backbone.base, *(layer.common for layer in network.moe_layers)]
    if any(held.trainable for held in common):
        trained.add(base_part())
    return (*adds, Assign(task, experts, head), Train(frozenset(trained)))


def fresh_expert(layer: MoELayer) -> Expert:
    """Return an expert that no task uses: one that waits in the pool, or else a new one."""
    taken = {id_ for experts in layer.assigned.values() for id_ in experts}
    waiting = [id_ for id_ in layer.pool.ids if id_ not in taken]
    return waiting[0] if waiting else layer.make_next()
