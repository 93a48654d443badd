"""Candidates of the policies that try several: what each keeps, copies and starts from."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from torch import nn

from cl_moe.continual.decision import Decision, Evidence, Expert, decide_path, fresh_expert
from cl_moe.continual.evidence.ensemble import EnsembleMember
from cl_moe.continual.view import TaskView
from cl_moe.moe.blocks import Block
from cl_moe.moe.heads.base import Head
from cl_moe.moe.network import MoENetwork

__all__ = (
    "HeadStart",
    "Plan",
    "Start",
    "copies_of",
    "decision_of",
    "distinct_paths",
    "fresh_plan",
    "grown_plans",
    "in_all",
    "module_of",
    "reassign_plan",
)

Start = Literal["keep", "copy", "fresh", "retrain"]
"""What becomes of a layer: the source's expert kept frozen, copied or retrained, or a new one."""

HeadStart = Literal["fresh", "ridge", "match", "evidence"]
"""Where the head begins: at random, at ridge regression on the source's features, as the source's
head with its classes matched, or as an average of closed-form answers."""


@dataclass(frozen=True)
class Plan:
    """One candidate, before it is tried.

    Attributes:
        kind: its name in the log.
        starts: what becomes of each layer, input first; empty for an average of earlier paths.
        head: where its head begins.
        source: label of the earlier task whose path is kept, copied or retrained.
        gain: how much better the source's features are than the raw input.
        members: what an evidence head pools.
        train: whether gradient descent follows.
    """

    kind: str
    starts: tuple[Start, ...]
    head: HeadStart
    source: int | None = None
    gain: float | None = None
    members: tuple[EnsembleMember, ...] = ()
    train: bool = True
    waiting: tuple[str | None, ...] = field(default=())
    """For each layer, the id of an unused expert that a fresh start would take; None for none."""

    @property
    def blocks(self) -> set[Block]:
        """The blocks of earlier paths that its head begins from."""
        if self.members:
            return {block for member in self.members for block in member.blocks}
        if self.source is None or self.head == "fresh":
            return set()
        return {Block(self.source, "log predictions" if self.head == "match" else "features")}

    @property
    def grows(self) -> bool:
        """Whether an expert is added."""
        return any(start in ("copy", "fresh") for start in self.starts)

    @property
    def kept(self) -> int:
        """Number of layers from the input up that stay as they are."""
        for depth, start in enumerate(self.starts):
            if start != "keep":
                return depth
        return len(self.starts)

    def price(self, tasks: int, classes: int) -> float:
        """Return what it takes to say which plan is meant, in nats: its description length.

        A plan that names one of T earlier tasks was the best of T, one that matches classes the
        best of C! matchings too. Without the price the best of many chance hits wins a task of a
        few examples. The answers that an average pools have their prices each.

        >>> fresh = Plan("fresh", ("fresh",), "fresh")
        >>> matched = Plan("matched", ("keep",), "match", source=0)
        >>> [round(plan.price(tasks=4, classes=3), 3) for plan in (fresh, matched)]
        [0.0, 3.178]
        """
        if self.source is None:
            return 0.0
        matchings = math.lgamma(classes + 1) if self.head == "match" else 0.0  # log C!
        return math.log(tasks) + matchings


def module_of(plan: Plan, depth: int, network: MoENetwork) -> nn.Module:
    """Return the module a plan begins with in one layer; a new object unless it is kept."""
    layer = network.moe_layers[depth]
    if plan.starts[depth] == "fresh":
        waiting = plan.waiting[depth] if plan.waiting else None
        return layer.pool.copy_of(waiting) if waiting else layer.make_next()
    assert plan.source is not None
    (id_,) = layer.assigned[plan.source]
    return layer.pool[id_] if plan.starts[depth] == "keep" else layer.pool.copy_of(id_)


def distinct_paths(network: MoENetwork, among: Collection[int] | None = None) -> list[int]:
    """Return one task a path: the first that learned it, whose head belongs to it.

    Args:
        network: the network.
        among: tasks, the nearest first, on whose paths (their own, or those that they average) to
            look, and no more paths than there are tasks. None: all paths.
    """
    first = network.first_on
    if among is None:
        return list(first.values())
    read = [source for task in among for source in network.reads(task)]
    near = dict.fromkeys(network.path(task) for task in read if network.owns_path(task))
    wanted = set((list(near) or list(first))[: len(among)])
    return [task for path, task in first.items() if path in wanted]


def fresh_plan(network: MoENetwork) -> Plan:
    """Return the candidate that begins every layer anew, with experts that wait if there are."""
    waiting = [fresh_expert(layer) for layer in network.moe_layers]
    starts: tuple[Start, ...] = tuple("fresh" for _ in waiting)
    ids = tuple(id_ if isinstance(id_, str) else None for id_ in waiting)
    return Plan("fresh", starts, "fresh", waiting=ids)


def copies_of(source: int, gain: float, layers: int) -> list[Plan]:
    """Return the candidates that copy a path: its upper layers alone, or all, fewest first.

    >>> [plan.starts for plan in copies_of(source=0, gain=0.1, layers=2)]
    [('keep', 'copy'), ('copy', 'copy')]
    """
    plans = []
    for kept in reversed(range(layers)):
        starts = in_all("keep", kept) + in_all("copy", layers - kept)
        plans.append(Plan("branch" if kept else "copy", starts, "ridge", source, gain))
    return plans


def grown_plans(
    network: MoENetwork, source: int, gain: float, kinds: Collection[str]
) -> list[Plan]:
    """Return the candidates, of the kinds asked for, that add experts beside a related path.

    Copies of what is better than the raw input; else, and where there is nothing to copy, fresh
    experts.
    """
    copies = [p for p in copies_of(source, gain, len(network.moe_layers)) if p.kind in kinds]
    no_better = gain <= 0 and "fresh" in kinds
    return [fresh_plan(network)] if no_better or not copies else copies


def reassign_plan(source: int, gain: float, full: Collection[int], layers: int) -> Plan:
    """Return the candidate that retrains a path in place in the layers that may not grow.

    >>> reassign_plan(source=0, gain=0.1, full=[0], layers=2).starts
    ('retrain', 'copy')
    """
    starts: tuple[Start, ...] = tuple(
        "retrain" if layer in full else "copy" for layer in range(layers)
    )
    return Plan("reassign", starts, "ridge", source, gain)


def in_all(start: Start, layers: int) -> tuple[Start, ...]:
    """Return the same start for so many layers."""
    return (start,) * layers


def decision_of(
    plan: Plan,
    view: TaskView,
    network: MoENetwork,
    head: Head,
    parts: Sequence[nn.Module] = (),
    evidence: Evidence | None = None,
    **costs: Any,
) -> Decision:
    """Return the decision for a plan: its experts and its head as they are before training.

    Args:
        plan: the candidate that was chosen.
        view: the task.
        network: the network.
        head: the task's head.
        parts: the modules above the layers that are kept, where a trial has trained them already.
        evidence: why it was chosen.
        costs: ``steps``, ``learned`` and ``learned_seconds`` of the decision.
    """
    path: list[tuple[Expert, ...]] = []
    retrain = []
    for depth, start in enumerate(plan.starts):
        layer = network.moe_layers[depth]
        expert: Expert
        if start in ("keep", "retrain"):
            assert plan.source is not None
            (expert,) = layer.assigned[plan.source]
            if start == "retrain":
                retrain.append((depth, expert))
        elif parts:
            expert = parts[depth - plan.kept]
        elif start == "fresh":
            expert = fresh_expert(layer)
        else:
            expert = module_of(plan, depth, network)
        path.append((expert,))
    edits = decide_path(network, view.task, path, head, retrain)
    return Decision(
        plan.kind,
        edits,
        evidence or Evidence(plan.source),
        retrain=tuple(retrain),
        train=plan.train,
        **costs,
    )
