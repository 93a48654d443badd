"""The decision for a new task, and its evidence."""

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
"""An expert of a path: the id of an existing expert, or a module to be added to the pool."""


@dataclass(frozen=True)
class Candidate:
    """A considered way to learn the task, with its evidence.

    Attributes:
        kind: the action (``"ensemble"``, ``"copy"``, ``"fresh"``, ...).
        source: label of the earlier task that it is based on; None for none.
        accuracy: accuracy on held-out examples of the task, 0 to 1; None where it was ruled out
            before training.
        loss: calibrated cross-entropy on these examples, in nats.
        gain: score of the source's features minus the score of the raw input; None without source.
    """

    kind: str
    source: int | None = None
    accuracy: float | None = None
    gain: float | None = None
    loss: float | None = None


@dataclass(frozen=True)
class Evidence:
    """Why a decision was made.

    Attributes:
        source: label of the earlier task that the decision is based on.
        candidates: all candidates.
        chosen: position of the winner among them; None without candidates.
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
    """The decision for a new task, as a value; the plugin applies its edits.

    Attributes:
        kind: as in :class:`Candidate`, or ``"fixed"``, ``"reassign"``.
        edits: the changes of the network: one :class:`~cl_moe.moe.edits.Assign`, added experts, and
            the trainable parts.
        evidence: why.
        retrain: (position of the slot, id) of experts that are retrained although other tasks use
            them.
        train: whether gradient descent follows; False where nothing remains to be learned.
        steps: optimizer steps of the decision.
        learned: steps of the decision that trained the chosen path and head; the task's training is
            shorter by this number.
        learned_seconds: CPU seconds of training within the decision: of these steps, or of the fit
            of an ensemble to all rows.
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
        """The added experts, by slot and key."""
        return {expert_part(e.slot, e.key): e.expert for e in self.edits if isinstance(e, Add)}

    @property
    def path(self) -> tuple[tuple[Expert, ...], ...]:
        """The task's experts by slot: ids, and modules to be added."""
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
    """Return the edits that assign a task a path.

    Args:
        network: the network; it is not changed.
        task: the task's label.
        path: its experts by slot; modules are added. Empty for a head on other paths.
        head: its head.
        retrain: (position of the slot, id) of frozen experts of the path to be retrained.
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
        if not layer.gate.task_aware:  # it offers every expert to a task
            trained |= {expert_part(layer.name, id_) for id_ in layer.pool.trainable}
        trained |= {expert_part(layer.name, id_) for depth, id_ in retrain if depth == place}
        experts[layer.name] = tuple(names)
    common = [network.backbone.base, *(layer.common for layer in network.moe_layers)]
    if any(held.trainable for held in common):
        trained.add(base_part())
    return (*adds, Assign(task, experts, head), Train(frozenset(trained)))


def fresh_expert(layer: MoELayer) -> Expert:
    """Return an expert that no task uses: an idle one of the pool, or else a new one."""
    taken = {id_ for experts in layer.assigned.values() for id_ in experts}
    waiting = [id_ for id_ in layer.pool.ids if id_ not in taken]
    return waiting[0] if waiting else layer.make_next()
