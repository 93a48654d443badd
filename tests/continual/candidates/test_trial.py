"""Which rows are held out, and a candidate in training on the others."""

from __future__ import annotations

import copy
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from cl_moe.continual.candidates.heads import Heads
from cl_moe.continual.candidates.plan import Plan, fresh_plan
from cl_moe.continual.candidates.trial import Trial, Tried, split_of
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.edits import set_trainable
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.objectives.classification import Classification


def scored(logits, y):
    return Tried(*Classification(logits.shape[1]).calibrated_score(logits, y))


def adam(parts):
    return torch.optim.Adam([p for part in parts.values() for p in part.parameters()], lr=1e-2)


def view_of(labels, classes, width=1):
    y = torch.as_tensor(labels)
    x = torch.randn(len(y), width, generator=torch.Generator().manual_seed(0))
    return TaskView(5, "t", x, y, classes, 40, 8, adam)


class TestSplit:
    @given(st.lists(st.integers(0, 3), min_size=1, max_size=120), st.integers(0, 9))
    def test_rows_are_fitted_or_held_out_and_each_class_keeps_one_to_learn_from(self, labels, seed):
        view = replace(view_of(labels, 4), seed=seed)
        fit, held = split_of(view)
        assert sorted(torch.cat([fit, held]).tolist()) == list(range(len(labels)))
        assert set(view.y[fit].tolist()) == set(labels)
        assert len(held) <= max(len(labels) // 3, len(set(labels)))

    @given(st.integers(3, 30), st.integers(2, 5))
    def test_classes_are_held_out_alike(self, per_class, classes):
        view = view_of(list(range(classes)) * per_class, classes)
        counts = view.y[split_of(view).held].bincount(minlength=classes)
        assert counts.min() == counts.max() >= 1

    @pytest.mark.parametrize(
        ("rows", "held"), [(30, 10), (240, 80), (400, 100), (1000, 200), (6000, 500)]
    )
    def test_a_fifth_is_held_out_a_hundred_at_least_and_five_hundred_at_most(self, rows, held):
        assert len(split_of(view_of([0, 1] * (rows // 2), 2)).held) == held

    def test_with_two_examples_a_class_one_of_them_is_held_out(self):
        y = torch.arange(40).repeat(2)
        fit, held = split_of(view_of(y, 40))
        assert y[fit].bincount().tolist() == y[held].bincount().tolist() == [1] * 40
        lone = torch.cat([y, torch.tensor([40])])
        assert lone[split_of(view_of(lone, 41)).held].bincount().tolist() == [1] * 40

    def test_the_seed_and_the_task_decide(self):
        view = view_of([0, 1] * 30, 2)
        assert torch.equal(split_of(view).held, split_of(view).held)
        for other in (replace(view, seed=1), replace(view, task=6)):
            assert set(split_of(view).held.tolist()) != set(split_of(other).held.tolist())


def test_loudness_is_calibrated_away_and_wrongness_is_not():
    y = torch.tensor([0, 1, 0, 1])
    right = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    assert scored(right, y).loss == pytest.approx(scored(8 * right, y).loss, rel=1e-3)
    assert scored(right, y).accuracy == 0.75
    assert scored(-right, y).loss > scored(right, y).loss


@pytest.fixture(params=[False, True], ids=["single_task", "shared"])
def network(request):
    """One task on a path through two layers, with a shared expert or without."""
    shape, layers = (6,), []
    for depth, factory in enumerate(cut(MLPExpert([10, 8]).stages(), 2)):
        layers.append(MoELayer(factory, TaskGate(1), shape, shared=request.param, seed=depth))
        shape = layers[-1].out_shape
    network = MoENetwork(Chain(layers))
    network.add_task(0, [["e0"], ["e0"]], network.new_head(0, 3))
    set_trainable(network, set())
    return network


@pytest.fixture
def view():
    view = view_of(torch.arange(60) % 3, 3, width=6)
    return replace(view, x=view.x + F.one_hot(view.y, 6))


PLANS = [
    Plan("reuse", ("keep", "keep"), "ridge", source=0),
    Plan("branch", ("keep", "copy"), "ridge", source=0),
    Plan("copy", ("copy", "copy"), "ridge", source=0),
    Plan("fresh", ("fresh", "fresh"), "fresh"),
    Plan("reassign", ("retrain", "retrain"), "ridge", source=0),
]


def trial_of(plan, view, network, split=None):
    with torch.no_grad():
        heads = Heads(view, network, network.blocks(view.x, plan.blocks))
    return Trial(plan, view, network, split or split_of(view), heads)


def learned(trial):
    return {name: p.detach().clone() for name, p in trial.top.named_parameters()}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("plan", PLANS, ids=lambda plan: plan.kind)
class TestTrial:
    def test_in_two_goes_or_in_one_it_learns_the_same(self, plan, view, network):
        once, twice = (trial_of(plan, view, network) for _ in range(2))
        start = learned(once)
        once.train(23)
        twice.train(7)  # an epoch has 6 batches
        looks = [twice.judge() for _ in range(2)]
        twice.train(23)
        twice.train(20)  # it is there already
        assert looks[0] == looks[1]
        assert once.steps == twice.steps == 23
        assert same(learned(once), learned(twice))
        assert not any(torch.equal(start[name], now) for name, now in learned(once).items())
        assert once.judge() == twice.judge()
        assert once.seconds > 0

    def test_it_leaves_the_network_and_the_global_generator_alone(self, plan, view, network):
        before = copy.deepcopy(network.state_dict())
        state = torch.random.get_rng_state()
        trial = trial_of(plan, view, network)
        trial.train(5)
        trial.judge()
        after = network.state_dict()
        tensors = [name for name, value in before.items() if torch.is_tensor(value)]
        assert tensors
        assert all(torch.equal(before[name], after[name]) for name in tensors)
        assert not any(p.requires_grad for p in network.parameters())
        assert all(p.grad is None for p in network.parameters())
        assert torch.equal(state, torch.random.get_rng_state())

    def test_what_it_learns_does_not_depend_on_the_labels_held_out(self, plan, view, network):
        split = split_of(view)
        y = view.y.clone()
        y[split.held] = (y[split.held] + 1) % 3
        one = trial_of(plan, view, network, split)
        two = trial_of(plan, replace(view, y=y), network, split)
        for trial in (one, two):
            trial.train(12)
        assert same(learned(one), learned(two))
        assert one.judge() != two.judge()

    def test_its_answers_are_those_that_the_network_will_give(self, plan, view, network):
        trial = trial_of(plan, view, network)
        trial.train(9)
        parts = iter(trial.top.parts)
        path = []
        for layer, start in zip(network.moe_layers, plan.starts, strict=True):
            path.append(["e0" if start == "keep" else layer.add(next(parts))])
        network.add_task(view.task, path, trial.top.head)
        held = trial.split.held
        with torch.no_grad():
            assert trial.judge() == scored(network(view.x[held], view.task), view.y[held])


def test_an_epoch_is_every_row_to_fit_once_in_an_order_of_its_own(view, network):
    trial = trial_of(PLANS[2], view, network)
    read = []
    trial.top.register_forward_hook(lambda module, given, _: read.append(given[0]))
    trial.train(12)
    assert sorted(len(batch) for batch in read) == [2, 2, *[8] * 10]  # 42 rows twice
    one, two = torch.cat(read[:6]), torch.cat(read[6:])
    rows = view.x[trial.split.fit]
    for epoch in (one, two):
        assert sorted(epoch.tolist()) == sorted(rows.tolist())
    assert not torch.equal(one, two)


def test_a_fresh_start_begins_at_the_expert_that_waits(view, network):
    waiting = [layer.add(layer.make("another")) for layer in network.moe_layers]
    plan = fresh_plan(network)
    assert plan.waiting == tuple(waiting)
    trial = trial_of(plan, view, network)
    for layer, part, id_ in zip(network.moe_layers, trial.top.parts, waiting, strict=True):
        assert part is not layer.pool[id_]
        assert torch.equal(part[0].weight, layer.pool[id_][0].weight)
