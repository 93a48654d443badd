"""Candidates of the policies that try several: what each keeps, copies and starts from."""

from __future__ import annotations

import copy
import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cl_moe.continual.evidence.ensemble import Opinion, Pool, Seen
from cl_moe.continual.evidence.matching import match_classes
from cl_moe.continual.evidence.ridge import fit_ridge
from cl_moe.continual.evidence.rows import Values, evenly
from cl_moe.continual.growth.base import Expert, GrowthDecision, fresh_expert
from cl_moe.continual.view import TaskView
from cl_moe.moe.gates.evidence import EvidenceGate
from cl_moe.moe.heads import Block, EvidenceHead, linear_of, take_over
from cl_moe.moe.network import MoENetwork
from cl_moe.seeding import generator

__all__ = (
    "HeadStart",
    "Heads",
    "Plan",
    "Start",
    "copies_of",
    "decision_of",
    "distinct_paths",
    "fresh_plan",
    "in_all",
    "module_of",
)

Start = Literal["keep", "copy", "fresh", "retrain"]
"""What becomes of a layer: the source's expert kept frozen, copied or retrained, or a new one."""

HeadStart = Literal["fresh", "ridge", "match", "evidence"]
"""Where the head begins: at random, at ridge regression on the source's features, as the source's
head with its classes matched, or as an average of closed-form answers."""

RIDGE_ROWS = 2000
"""Ridge heads are fitted to so many rows at most, evenly spread in case they are sorted."""


@dataclass(frozen=True)
class Plan:
    """One candidate, before it is tried.

    Attributes:
        kind: its name in the log.
        starts: what becomes of each layer, input first; empty for an average of earlier paths.
        head: where its head begins.
        source: label of the earlier task whose path is kept, copied or retrained.
        gain: how much better the source's features are than the raw input.
        opinions: what an evidence head pools.
        train: whether gradient descent follows.
    """

    kind: str
    starts: tuple[Start, ...]
    head: HeadStart
    source: int | None = None
    gain: float | None = None
    opinions: tuple[Opinion, ...] = ()
    train: bool = True
    waiting: tuple[str | None, ...] = field(default=())
    """For each layer, the id of an unused expert that a fresh start would take; None for none."""

    @property
    def blocks(self) -> set[Block]:
        """The blocks of earlier paths that its head begins from."""
        if self.opinions:
            return {block for opinion in self.opinions for block in opinion.blocks}
        if self.source is None or self.head == "fresh":
            return set()
        return {Block(self.source, "log answers" if self.head == "match" else "features")}

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
        >>> matched = Plan("take over", ("keep",), "match", source=0)
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
        return copy.deepcopy(layer.pool[waiting]) if waiting else layer.make_next()
    assert plan.source is not None
    (id_,) = layer.assigned[plan.source]
    expert = layer.pool[id_]
    return expert if plan.starts[depth] == "keep" else copy.deepcopy(expert).requires_grad_(True)


class Heads:
    """Makes the heads of a task's candidates, on all of its rows or on some.

    Args:
        view: the task.
        network: where earlier heads are.
        values: values on the task's rows of the blocks that the heads begin from.
        seen: the rows that are looked at for evidence, see
            :class:`~cl_moe.continual.evidence.ensemble.Pool`.
    """

    def __init__(
        self, view: TaskView, network: MoENetwork, values: Values, seen: Seen | None = None
    ) -> None:
        self.view, self.network, self.values = view, network, values
        self._pool = Pool(values, view.y, view.n_classes, seen)

    @torch.no_grad()
    def of(self, plan: Plan, rows: Tensor | None = None) -> nn.Module:
        """Return a plan's head as it is before training, fitted to the rows given."""
        view, network = self.view, self.network
        if plan.head == "evidence":
            gate = network.moe_layers[-1].gate
            assert isinstance(gate, EvidenceGate)
            draw = generator(network.seed, "route", view.task)  # the same paths for some rows
            return self._pool.head(plan.opinions, gate, rows, draw)
        if plan.head == "fresh":
            return network.new_head(view.task, view.n_classes)
        assert plan.source is not None
        (values,) = (self.values[block] for block in plan.blocks)
        y = view.y
        if rows is not None:
            values, y = values[rows], y[rows]
        if plan.head == "match":
            old = network.heads[str(plan.source)]
            return take_over(old, match_classes(values, y, view.n_classes))
        some = evenly(len(y), RIDGE_ROWS)
        answer = fit_ridge(values[some], y[some], view.n_classes)
        return linear_of(answer.weight, answer.bias)

    @torch.no_grad()
    def answers(self, plan: Plan, fit: Tensor, held: Tensor) -> Tensor:
        """Return a plan's logits (held, C) where it needs no experts trained."""
        if plan.head == "match":
            (block,) = plan.blocks
            values = self.values[block]
            classes = match_classes(values[fit], self.view.y[fit], self.view.n_classes)
            return values[held][:, classes]
        head = self.of(plan, fit)
        read = head.blocks if isinstance(head, EvidenceHead) else plan.blocks
        shown = {block: self.values[block][held] for block in read}
        logits: Tensor = head(shown) if plan.opinions else head(*shown.values())
        return logits


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


def in_all(start: Start, layers: int) -> tuple[Start, ...]:
    """Return the same start for so many layers."""
    return (start,) * layers


def decision_of(
    plan: Plan,
    view: TaskView,
    network: MoENetwork,
    head: nn.Module,
    parts: Sequence[nn.Module] = (),
    **log: Any,
) -> GrowthDecision:
    """Return the decision for a plan: its experts and its head as they are before training.

    Args:
        plan: the candidate that was chosen.
        view: the task.
        network: the network.
        head: the task's head.
        parts: the modules above the layers that are kept, where a trial has trained them already.
        log: what else the decision records.
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
    return GrowthDecision(
        plan.kind,
        tuple(path),
        head,
        source=plan.source,
        train=plan.train,
        retrain=tuple(retrain),
        **log,
    )
