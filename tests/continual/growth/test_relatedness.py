from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from torch import nn

from cl_moe.continual.growth._budget import full_layers
from cl_moe.continual.growth._plan import module_of
from cl_moe.continual.growth._takeover import take_over_plans
from cl_moe.continual.growth.fixed import FixedPool
from cl_moe.continual.growth.per_task import PerTask
from cl_moe.continual.growth.relatedness import Relatedness
from cl_moe.continual.use import importance, readers
from cl_moe.continual.view import TaskView
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.evidence import EvidenceGate
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork


def network_of(layers=1, gate=EvidenceGate):
    shape, made = (8,), []
    for depth, factory in enumerate(cut(MLPExpert([24, 16]).stages(), layers)):
        made.append(MoELayer(factory, gate(24), shape, seed=depth))
        shape = made[-1].out_shape
    return MoENetwork(made)


def rings(n, seed, shift=0):
    """A task that no linear map solves: the class is how many of two signs agree, per pair."""
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, 8, generator=g)
    a, b = x[:, shift] * x[:, shift + 1] > 0, x[:, shift + 2] * x[:, shift + 3] > 0
    return x, 2 * a.long() + b.long()


def view_of(task, x, y, steps=300):
    return TaskView(
        task, f"t{task}", x, y, 4, steps, 32, lambda p: torch.optim.Adam(p, lr=1e-2), seed=0
    )


def learn(network, view, decision, steps=600):
    """Apply a decision and train what it leaves to train, as the plugin does."""
    path = [
        [e if isinstance(e, str) else layer.add(e) for e in experts]
        for layer, experts in zip(network.moe_layers, decision.path, strict=False)
    ]
    network.add_task(view.task, path, decision.head)
    if decision.train:
        optimizer = torch.optim.Adam([p for p in network.parameters() if p.requires_grad], 1e-2)
        for _ in range(steps):
            optimizer.zero_grad()
            nn.functional.cross_entropy(network(view.x, view.task), view.y).backward()
            optimizer.step()
    network.requires_grad_(False)


@pytest.fixture(scope="module")
def trained():
    torch.manual_seed(0)
    network = network_of()
    view = view_of(0, *rings(800, 0))
    learn(network, view, Relatedness().decide(view, network))
    x, y = rings(500, 9)
    assert (network(x, 0).argmax(1) == y).float().mean() > 0.85
    return network


def test_the_first_task_takes_the_expert_that_waits(trained):
    assert trained.path(0) == (("e0",),)


def test_the_same_task_with_other_labels_is_taken_over(trained):
    x, y = rings(60, 1)
    decision = Relatedness().decide(view_of(1, x, (y + 1) % 4), trained)
    assert (decision.kind, decision.source, decision.train) == ("take over", 0, False)
    assert decision.path == (("e0",),)
    tx, ty = rings(400, 5)
    with torch.no_grad():
        features, _ = trained.features(tx, 0)
        assert (decision.head(features).argmax(1) == (ty + 1) % 4).float().mean() > 0.85


def test_an_unrelated_task_grows(trained):
    x, y = rings(800, 2, shift=4)
    decision = Relatedness().decide(view_of(1, x, y), trained)
    assert decision.kind in {"fresh", "copy"}
    assert isinstance(decision.path[0][0], nn.Module)


def test_a_linear_task_with_few_examples_is_answered_from_the_raw_input(trained):
    x = torch.randn(40, 8, generator=torch.Generator().manual_seed(3))
    y = 2 * (x[:, 4] > 0).long() + (x[:, 5] > 0).long()
    decision = Relatedness().decide(view_of(1, x, y, steps=5), trained)
    assert decision.kind == "average"
    assert decision.head.weights[(-1, "features")] > 0.5


def test_without_the_evidence_gate_nothing_is_averaged():
    network = network_of(gate=TaskGate)
    view = view_of(0, *rings(100, 0))
    learn(network, view, Relatedness().decide(view, network), steps=50)
    decision = Relatedness().decide(view_of(1, *rings(60, 1)), network)
    assert "average" not in {c.kind for c in decision.candidates}


def test_deciding_changes_nothing(trained):
    before = {name: p.clone() for name, p in trained.state_dict().items() if torch.is_tensor(p)}
    state = torch.random.get_rng_state()
    flags = [p.requires_grad for p in trained.parameters()]
    Relatedness().decide(view_of(1, *rings(80, 2, shift=4)), trained)
    after = trained.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert flags == [p.requires_grad for p in trained.parameters()]
    assert torch.equal(state, torch.random.get_rng_state())
    assert trained.tasks == [0]


def test_the_same_view_gives_the_same_decision(trained):
    view = view_of(1, *rings(80, 2, shift=4))
    one, two = (Relatedness().decide(view, trained) for _ in range(2))
    assert one.candidates == two.candidates
    assert one.kind == two.kind


def test_layers_may_be_shared_below_and_new_above():
    torch.manual_seed(0)
    network = network_of(layers=2)
    view = view_of(0, *rings(400, 0))
    learn(network, view, Relatedness().decide(view, network), steps=300)
    policy = Relatedness()
    gains = {0: 0.1}
    plans = policy._plans(view_of(1, *rings(60, 1)), network, [0], gains)
    (branch,) = [plan for plan in plans if plan.kind == "branch"]
    assert branch.starts == ("keep", "copy")
    low, high = network.moe_layers
    assert module_of(branch, 0, network) is low.pool["e0"]
    copied = module_of(branch, 1, network)
    assert copied is not high.pool["e0"]
    assert torch.equal(copied[0].weight, high.pool["e0"][0].weight)


class TestBudget:
    def test_a_waiting_expert_is_room(self):
        network = network_of()
        assert full_layers(network, 1) == []
        network.add_task(0, [["e0"]], network.new_head(0, 4))
        assert full_layers(network, 1) == [0]
        assert full_layers(network, None) == []

    def test_a_full_pool_is_never_grown(self, trained):
        decision = Relatedness(max_experts=1).decide(view_of(1, *rings(800, 2, 4)), trained)
        assert decision.kind == "reassign"
        assert decision.retrain == ((0, "e0"),)
        assert decision.path == (("e0",),)

    def test_the_expert_that_matters_least_among_the_related_is_given_up(self):
        network = network_of()
        for task in range(3):
            learn(network, view_of(task, *rings(60, task)), _fresh(network, task), steps=5)
        network.add_task(3, [["e0"]], network.new_head(3, 4))
        worth = {0: 0.7, 1: 0.2, 2: 0.7, 3: 0.7}
        assert importance(network, worth)[0, "e0"] == pytest.approx(1.4)
        assert readers(network)[0, "e0"] == {0: 1.0, 3: 1.0}
        policy = Relatedness(max_experts=3)
        policy.worth = worth
        plans = policy._plans(
            view_of(4, *rings(60, 7)), network, [2, 1, 0], {0: 0.0, 1: 0.0, 2: 0.0}
        )
        (plan,) = [p for p in plans if p.kind == "reassign"]
        assert plan.source == 1


def _fresh(network, task):
    return PerTask().decide(view_of(task, *rings(10, 0)), network)


def test_per_task_grows_each_time_and_fixed_never():
    network = network_of()
    view = view_of(0, *rings(20, 0))
    first = PerTask().decide(view, network)
    assert first.path == (("e0",),)
    learn(network, view, first, steps=1)
    second = PerTask().decide(replace(view, task=1), network)
    assert isinstance(second.path[0][0], nn.Module)
    assert FixedPool().decide(view, network).path == (("e0",),)


@pytest.mark.parametrize("kind", ["take over", "average", "reuse", "copy", "fresh"])
def test_only_the_kinds_that_are_asked_for_are_considered(trained, kind):
    decision = Relatedness(kinds=[kind]).decide(view_of(1, *rings(60, 1), steps=5), trained)
    assert {c.kind for c in decision.candidates} == {kind}
    assert decision.kind == kind


def test_where_no_kind_asked_for_is_to_be_had_the_task_grows(trained):
    x, y = rings(60, 1)
    branch = Relatedness(kinds=["branch"])  # with one layer there is nothing to branch from
    assert branch.decide(view_of(1, x, y, steps=5), trained).kind == "fresh"
    full = Relatedness(kinds=["copy"], max_experts=1)
    assert full.decide(view_of(1, x, y, steps=5), trained).kind == "reassign"


def test_bad_options_are_refused():
    with pytest.raises(ValueError, match=r"kinds: \['cpy'\]"):
        Relatedness(kinds=["cpy"])
    with pytest.raises(ValueError, match="max_experts: 0"):
        Relatedness(max_experts=0)
    with pytest.raises(ValueError, match="trial_share"):
        Relatedness(trial_share=0.0)


def test_one_example_a_class_leaves_nothing_to_judge_and_is_still_decided(trained):
    """Every row is a fold of its own; without a head to match nothing can be tried."""
    x = torch.randn(40, 8, generator=torch.Generator().manual_seed(0))
    view = replace(view_of(1, x, torch.arange(40)), n_classes=40)
    decision = Relatedness().decide(view, trained)
    assert decision.kind in {"reuse", "copy", "fresh"}
    assert all(c.accuracy is None for c in decision.candidates)


def test_of_many_take_overs_those_that_hold_up_on_other_rows_are_kept(trained):
    network = copy.deepcopy(trained)
    for task in range(1, 5):  # heads of no use, on the same path
        network.add_task(task, [["e0"]], network.new_head(task, 4))
    x, y = rings(60, 1)
    view = view_of(5, x, (y + 1) % 4)
    plans = take_over_plans(view, network, {0: 0.1}, {1}, torch.arange(60), parts=3, limit=2)
    assert len(plans) == 2
    assert plans[0].source == 0
    assert {plan.source for plan in plans}.isdisjoint({1})
