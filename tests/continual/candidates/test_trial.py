"""Which rows are held out, and a candidate path in training on the others."""

from __future__ import annotations

import copy
import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional as F

from cl_moe.continual.candidates.paths import CandidatePath, fresh_path
from cl_moe.continual.candidates.trial import (
    CHECKPOINTS,
    FORECAST_FROM,
    Score,
    Trial,
    forecast,
    split_of,
)
from cl_moe.continual.evidence.ridge import fit_ridge
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
    return Score(*Classification(logits.shape[1]).calibrated_score(logits, y))


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


PATHS = [
    CandidatePath("reuse", ("keep", "keep"), source=0, ridge=True),
    CandidatePath("branch", ("keep", "copy"), source=0, ridge=True),
    CandidatePath("copy", ("copy", "copy"), source=0, ridge=True),
    CandidatePath("fresh", ("fresh", "fresh")),
    CandidatePath("reassign", ("retrain", "retrain"), source=0, ridge=True),
]


def trial_of(path, view, network, split=None):
    return Trial(path, view, network, split or split_of(view))


def modules(trial):
    return torch.nn.ModuleList([*trial.experts, trial.head])


def learned(trial):
    return {name: p.detach().clone() for name, p in modules(trial).named_parameters()}


def same(one, two):
    return one.keys() == two.keys() and all(torch.equal(one[name], two[name]) for name in one)


@pytest.mark.parametrize("path", PATHS, ids=lambda path: path.kind)
class TestTrial:
    def test_in_two_goes_or_in_one_it_learns_the_same(self, path, view, network):
        once, twice = (trial_of(path, view, network) for _ in range(2))
        start = learned(once)
        once.train(23)
        twice.train(7)  # an epoch has 6 batches
        scores = [twice.score() for _ in range(2)]
        twice.train(23)
        twice.train(20)  # it is there already
        assert scores[0] == scores[1]
        assert once.steps == twice.steps == 23
        assert same(learned(once), learned(twice))
        assert not any(torch.equal(start[name], now) for name, now in learned(once).items())
        assert once.score() == twice.score()
        assert once.seconds > 0

    def test_it_leaves_the_network_and_the_global_generator_alone(self, path, view, network):
        before = copy.deepcopy(network.state_dict())
        state = torch.random.get_rng_state()
        trial = trial_of(path, view, network)
        trial.train(5)
        trial.score()
        after = network.state_dict()
        tensors = [name for name, value in before.items() if torch.is_tensor(value)]
        assert tensors
        assert all(torch.equal(before[name], after[name]) for name in tensors)
        assert not any(p.requires_grad for p in network.parameters())
        assert all(p.grad is None for p in network.parameters())
        assert torch.equal(state, torch.random.get_rng_state())

    def test_what_it_learns_does_not_depend_on_the_labels_held_out(self, path, view, network):
        split = split_of(view)
        y = view.y.clone()
        y[split.held] = (y[split.held] + 1) % 3
        one = trial_of(path, view, network, split)
        two = trial_of(path, replace(view, y=y), network, split)
        for trial in (one, two):
            trial.train(12)
        assert same(learned(one), learned(two))
        assert one.score() != two.score()

    def test_its_answers_are_those_that_the_network_will_give(self, path, view, network):
        trial = trial_of(path, view, network)
        trial.train(9)
        parts = iter(trial.experts)
        ids = []
        for layer, start in zip(network.moe_layers, path.starts, strict=True):
            ids.append(["e0" if start == "keep" else layer.add(next(parts))])
        network.add_task(view.task, ids, trial.head)
        held = trial.split.held
        with torch.no_grad():
            assert trial.score() == scored(network(view.x[held], view.task), view.y[held])


def test_an_epoch_is_every_row_to_fit_once_in_an_order_of_its_own(view, network):
    trial = trial_of(PATHS[2], view, network)
    read = []
    run = network.backbone.run_candidate
    network.backbone.run_candidate = lambda z, *rest: read.append(z) or run(z, *rest)
    trial.train(12)
    assert sorted(len(batch) for batch in read) == [2, 2, *[8] * 10]  # 42 rows twice
    one, two = torch.cat(read[:6]), torch.cat(read[6:])
    rows = view.x[trial.split.fit]
    for epoch in (one, two):
        assert sorted(epoch.tolist()) == sorted(rows.tolist())
    assert not torch.equal(one, two)


def test_a_readout_is_a_ridge_regression_on_the_features_in_training(view, network):
    trial = trial_of(PATHS[2], view, network)
    at_first = trial.readout()
    fit, held = trial.split
    with torch.no_grad():
        features = [network.features(view.x[rows], 0)[0] for rows in (fit, held)]
    ridge = fit_ridge(features[0], view.y[fit], view.objective)
    assert at_first == scored(features[1] @ ridge.weight.T + ridge.bias, view.y[held])
    trial.train(20)
    assert trial.readout() != at_first
    head = {name: p.clone() for name, p in trial.head.named_parameters()}
    trial.readout()
    assert all(torch.equal(head[name], p) for name, p in trial.head.named_parameters())


def test_a_readout_of_features_that_are_not_finite_loses(view, network):
    trial = trial_of(PATHS[3], view, network)
    with torch.no_grad():
        next(trial.experts[0].parameters()).fill_(math.nan)
    assert trial.readout() == (0.0, math.inf)


class TestRun:
    def test_it_ends_at_the_last_checkpoint_while_it_may_win(self, view, network):
        trial = trial_of(PATHS[3], view, network)
        trial.run(to_beat=math.inf)
        assert trial.steps == round(CHECKPOINTS[-1] * view.steps)

    def test_it_ends_at_the_second_checkpoint_where_it_cannot_win(self, view, network):
        for to_beat, end in ((-1.0, CHECKPOINTS[0]), (1e-6, CHECKPOINTS[1])):
            trial = trial_of(PATHS[3], view, network)  # a slope takes two points
            trial.run(to_beat)
            assert trial.steps == round(end * view.steps)

    def test_while_the_learning_rate_rises_it_is_not_ended(self, view, network):
        trial = trial_of(PATHS[3], replace(view, schedule="one_cycle"), network)
        trial.run(to_beat=-1.0)
        assert trial.steps == round(FORECAST_FROM["one_cycle"] * view.steps)

    def test_the_lower_loss_of_head_and_readout_counts(self, view, network, monkeypatch):
        trial = trial_of(PATHS[3], view, network)
        losses = iter([(0.9, 0.8), (0.4, 0.7), (0.5, 0.2), (0.3, 0.3)])
        found = []

        def score():
            found[:] = next(losses)
            return Score(0.3, found[0])

        monkeypatch.setattr(trial, "score", score)
        monkeypatch.setattr(trial, "readout", lambda: Score(0.6, found[1]))
        assert trial.run(math.inf) == (0.6, 0.2)

    def test_it_goes_on_as_long_as_its_curve_promises_to_win(self, view, network, monkeypatch):
        for losses, end in (((0.8, 0.7, 0.6, 0.5), 3), ((0.8, 0.5, 0.49, 0.48), 2)):
            trial = trial_of(PATHS[3], view, network)
            curve = iter(losses)
            monkeypatch.setattr(trial, "score", lambda curve=curve: Score(0.3, next(curve)))
            monkeypatch.setattr(trial, "readout", lambda: Score(0.0, math.inf))
            trial.run(to_beat=0.45)
            assert trial.steps == round(CHECKPOINTS[end] * view.steps)

    def test_a_plateau_of_the_head_is_none_of_the_readout(self, network):
        """The head has learned nothing yet after a few steps; the features tell classes apart."""
        y = torch.arange(300) % 3
        x = torch.randn(300, 6, generator=torch.Generator().manual_seed(0))
        slow = replace(
            view_of(y, 3, width=6),
            x=x + 3 * F.one_hot(y, 6),
            make_optimizer=lambda parts: torch.optim.SGD(
                [p for part in parts.values() for p in part.parameters()], lr=1e-4
            ),
        )
        trial = trial_of(PATHS[3], slow, network)
        found = trial.run(math.inf)
        assert trial.score().loss > 0.7
        assert found.loss < 0.4


@pytest.mark.parametrize(
    ("before", "now", "expected"),
    [
        ((10, 1.0), (20, 0.5), 0.25),  # halved by each doubling of the steps
        ((10, 1.0), (20, 1.0), 1.0),  # a plateau goes on
        ((10, 0.5), (20, 0.7), 0.7),  # what rises is not expected to rise on
        ((10, 1.0), (40, 0.8), 0.8),  # at the end already
        ((0, math.inf), (10, 1.0), 0.0),  # with one point alone anything may be
        ((10, 1.0), (20, 0.0), 0.0),
    ],
)
def test_the_forecast_is_a_power_law_through_two_points(before, now, expected):
    assert forecast(before, now, until=40) == pytest.approx(expected)


def test_a_fresh_start_begins_at_the_expert_that_waits(view, network):
    waiting = [layer.add(layer.make("another")) for layer in network.moe_layers]
    path = fresh_path(network)
    assert path.waiting == tuple(waiting)
    trial = trial_of(path, view, network)
    for layer, part, id_ in zip(network.moe_layers, trial.experts, waiting, strict=True):
        assert part is not layer.pool[id_]
        assert torch.equal(part[0].weight, layer.pool[id_][0].weight)
