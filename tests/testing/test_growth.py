"""Each check of growth policies catches one that is broken in that way."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from cl_moe import catalog
from cl_moe.continual.decision import decide_path
from cl_moe.moe.edits import Train, expert_part

Good = catalog.resolve("growth", "per_task")


class WrongHead(Good):
    def decide(self, view, network):
        return super().decide(replace(view, n_classes=view.n_classes + 1), network)


class ChangesTheNetwork(Good):
    def decide(self, view, network):
        with torch.no_grad():
            next(network.parameters()).add_(1)
        return super().decide(view, network)


class ChangesItself(Good):
    def __init__(self):
        self.asked = 0

    def decide(self, view, network):
        self.asked += 1
        return super().decide(view, network)


class GlobalDraw(Good):
    def decide(self, view, network):
        torch.rand(1)
        return super().decide(view, network)


class Mutates(Good):
    def decide(self, view, network):
        view.x.mul_(2)
        return super().decide(view, network)


class Dice(Good):
    def decide(self, view, network):
        decision = super().decide(view, network)
        with torch.no_grad():
            decision.head.bias.add_(torch.rand(1))
        return decision


class Forgets(Good):
    """Decides by how many tasks it has seen, and keeps that in no state."""

    def __init__(self):
        self.seen = []

    def decide(self, view, network):
        return replace(super().decide(view, network), kind=f"fresh {len(self.seen)}")

    def learned(self, view, network, decision):
        self.seen.append(view.task)


class ManyRows(Good):
    def decide(self, view, network):
        view.x[2]  # of two rows there is no third
        return super().decide(view, network)


class TwoClasses(Good):
    def decide(self, view, network):
        assert view.n_classes > 1
        return super().decide(view, network)


class Labels(Good):
    def decide(self, view, network):
        torch.bincount(view.y)
        return super().decide(view, network)


class TrainsTheFrozen(Good):
    """The second task trains the experts of the first, and does not say so."""

    def decide(self, view, network):
        if view.task == 0:
            return super().decide(view, network)
        head, path = network.new_head(view.task, view.n_classes), network.path(0)
        *edits, train = decide_path(network, view.task, path, head)
        experts = {expert_part(layer.name, id_) for layer in network.moe_layers
                   for id_ in layer.pool.ids}  # fmt: skip
        edits = (*edits, Train(train.parts | experts))
        return replace(super().decide(view, network), kind="reuse", edits=edits)


class NoLimit(Good):
    def __init__(self, max_experts=None):
        self.max_experts = max_experts


BROKEN = {
    "decisions can be applied": (WrongHead, "a head of 3 outputs for 2 classes"),
    "a decision changes nothing": (ChangesTheNetwork, "of the network; return edits instead"),
    "a decision changes nothing / itself": (ChangesItself, "update it in learned"),
    "a decision changes nothing / random": (GlobalDraw, "global random state"),
    "inputs untouched": (Mutates, "the task's rows are changed"),
    "same seed same result": (Dice, "the same task gets another decision the second time"),
    "state round trips": (Forgets, "a policy that is restored decides differently"),
    "one example": (ManyRows, "index 2 is out of bounds"),
    "one class": (TwoClasses, ""),
    "tasks without classes": (Labels, "regression raises "),
    "frozen do not move": (TrainsTheFrozen, "outputs of the first task change"),
    "the limit holds": (NoLimit, "max_experts is 1, and layer"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_check_catches(name, catches):
    catches("growth", BROKEN, name)
