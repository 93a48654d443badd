"""Candidates of the policies that try several: what each keeps, copies and starts from."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from torch import Tensor, nn

from cl_moe.continual.growth.base import (
    Candidate,
    Expert,
    GrowthDecision,
    fresh_expert,
)
from cl_moe.continual.relatedness.matching import match_classes
from cl_moe.continual.view import TaskView
from cl_moe.moe.gates.evidence import EvidenceGate
from cl_moe.moe.heads import EvidenceHead, FeatureSet, linear_of, take_over
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.ridge import fit_ridge
from cl_moe.seeding import generator

__all__ = (
    "HeadStart",
    "Plan",
    "Start",
    "decision_of",
    "distinct_paths",
    "fresh_plan",
    "make_head",
    "module_of",
)

Start = Literal["keep", "copy", "fresh", "retrain"]
"""What becomes of a layer: the source's expert kept frozen, copied or retrained, or a new one."""

HeadStart = Literal["fresh", "ridge", "match", "evidence"]
"""Where the head begins: at random, at ridge regression on the source's features, as the source's
head with its classes matched, or as an average of closed-form answers."""

RIDGE_ROWS = 2000
"""Ridge heads are fitted to so many rows at most."""


@dataclass(frozen=True)
class Plan:
    """One candidate, before it is tried.

    Attributes:
        kind: its name in the log.
        starts: what becomes of each layer, input first; empty for an average of earlier paths.
        head: where its head begins.
        source: label of the earlier task whose path is kept, copied or retrained.
        gain: how much better the source's features are than the raw input.
        sets: feature sets of an evidence head.
        train: whether gradient descent follows.
    """

    kind: str
    starts: tuple[Start, ...]
    head: HeadStart
    source: int | None = None
    gain: float | None = None
    sets: tuple[FeatureSet, ...] = ()
    train: bool = True
    waiting: tuple[str | None, ...] = field(default=())
    """For each layer, the id of an unused expert that a fresh start would take; None for none."""

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


def make_head(
    plan: Plan,
    network: MoENetwork,
    task: int,
    features: Mapping[FeatureSet, Tensor],
    y_N: Tensor,
    n_classes: int,
) -> nn.Module:
    """Return a plan's head for the rows given, which may be a part of the task's.

    Args:
        plan: the candidate.
        network: where the source's head is.
        task: label of the new task.
        features: the feature sets of those rows that the head begins from.
        y_N: their labels.
        n_classes: number of classes.
    """
    if plan.head == "evidence":
        answers = {key: fit_ridge(features[key], y_N, n_classes) for key in plan.sets}
        gate = network.moe_layers[-1].gate
        assert isinstance(gate, EvidenceGate)
        losses = [answer.loo_loss for answer in answers.values()]
        draw = generator(network.seed, "route", task)  # the same paths in every fold
        return EvidenceHead(answers, gate.weigh(losses, len(y_N), draw))
    if plan.head == "fresh":
        return network.new_head(task, n_classes)
    assert plan.source is not None
    if plan.head == "match":
        log_probs = features[FeatureSet(plan.source, "answers")].log()
        old = network.heads[str(plan.source)]
        return take_over(old, match_classes(log_probs, y_N, n_classes))
    source_features = features[FeatureSet(plan.source)]
    answer = fit_ridge(source_features[:RIDGE_ROWS], y_N[:RIDGE_ROWS], n_classes)
    return linear_of(answer.weight, answer.bias)


def distinct_paths(network: MoENetwork) -> list[int]:
    """Return one task a path: the first that learned it, whose head belongs to it."""
    first: dict[tuple[tuple[str, ...], ...], int] = {}
    for task in network.tasks:
        if network.owns_path(task):
            first.setdefault(network.path(task), task)
    return list(first.values())


def fresh_plan(network: MoENetwork) -> Plan:
    """Return the candidate that begins every layer anew, with experts that wait if there are."""
    waiting = [fresh_expert(layer) for layer in network.moe_layers]
    starts: tuple[Start, ...] = tuple("fresh" for _ in waiting)
    ids = tuple(id_ if isinstance(id_, str) else None for id_ in waiting)
    return Plan("fresh", starts, "fresh", waiting=ids)


def decision_of(
    plan: Plan,
    view: TaskView,
    network: MoENetwork,
    features: Mapping[FeatureSet, Tensor],
    candidates: tuple[Candidate, ...] = (),
    chosen: int | None = None,
    steps: int = 0,
) -> GrowthDecision:
    """Return the decision for a plan: its experts and its head as they are before training.

    Args:
        plan: the candidate that was chosen.
        view: the task.
        network: the network.
        features: feature sets of all the task's rows that the head begins from.
        candidates: everything that was weighed.
        chosen: position of the plan among them.
        steps: optimizer steps that weighing took.
    """
    head = make_head(plan, network, view.task, features, view.y, view.n_classes)
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
        candidates=candidates,
        chosen=chosen,
        steps=steps,
    )
