"""The heads that candidates begin with, fitted in closed form to some rows or all."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch.nn import functional as F

from cl_moe.continual.candidates.heads import Heads
from cl_moe.continual.candidates.plan import (
    Plan,
    fresh_plan,
)
from cl_moe.continual.evidence.ensemble import EnsembleMember
from cl_moe.continual.evidence.matching import match_classes
from cl_moe.continual.evidence.ridge import fit_ridge
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import OWN, RAW, Block
from cl_moe.moe.edits import set_trainable
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.ensemble import EnsembleGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork

FIT, HELD = torch.arange(40), torch.arange(40, 60)
MEMBERS = (EnsembleMember((RAW,)), EnsembleMember((RAW, Block(0))), EnsembleMember((Block(1),)))
ENSEMBLE = Plan("ensemble", (), "evidence", members=MEMBERS, train=False)
MATCH = Plan("matched", ("keep",), "match", source=1, train=False)
RIDGE = Plan("reuse", ("keep",), "ridge", source=0)


def network_of(layers=1, **options):
    shape, made = (4,), []
    for depth, factory in enumerate(cut(MLPExpert([6, 5]).stages(), layers)):
        gate = EnsembleGate(4, **options)
        made.append(MoELayer(factory, gate, shape, experts=2, seed=depth))
        shape = made[-1].out_shape
    network = MoENetwork(Chain(made))
    for task in range(2):
        network.add_task(task, [[f"e{task}"]] * layers, network.new_head(task, 3))
    set_trainable(network, set())
    return network


@pytest.fixture
def view():
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    return TaskView(2, "t", x, y, 2, 10, 8, lambda p: torch.optim.Adam(p))


def heads_of(view, network, *plans):
    wanted = {block for plan in plans for block in plan.blocks}
    with torch.no_grad():
        return Heads(view, network, network.blocks(view.x, wanted))


def test_the_gate_decides_the_weights_of_an_average_and_nothing_else(view):
    noise = torch.randn(60, generator=torch.Generator().manual_seed(1))
    view = replace(view, y=(view.x[:, 0] + 3 * noise > 0).long())  # no answer is clearly the best

    def head_of(weights):
        network = network_of(k=3, weights=weights)
        return heads_of(view, network, ENSEMBLE).of(ENSEMBLE)

    evidence, uniform = head_of("evidence"), head_of("uniform")
    assert uniform.shares == pytest.approx({-1: 1 / 3, 0: 1 / 3, 1: 1 / 3})
    assert evidence.shares != pytest.approx(uniform.shares, abs=0.01)
    one, two = (
        weight / head.shares[1]  # a block that one member alone reads
        for head in (evidence, uniform)
        for block, weight in zip(head.blocks, head.weights, strict=True)
        if block == Block(1)
    )
    assert torch.allclose(one, two, atol=1e-4)
    assert head_of("random").shares == head_of("random").shares


def test_random_paths_are_the_same_for_some_rows_and_for_all(view):
    for seed in range(5):
        network = network_of(k=1, weights="random")
        network.seed = seed
        heads = heads_of(view, network, ENSEMBLE)
        assert heads.of(ENSEMBLE, FIT).shares == heads.of(ENSEMBLE).shares


def test_heads_are_fitted_to_the_rows_given(view):
    """The rows held out say the opposite of the others: whoever reads them too is found out."""
    network = network_of()
    told = network(view.x, 1).log_softmax(1)[:, 0]
    y = (told > told.median()).long()
    y[HELD] = 1 - y[HELD]
    view = replace(view, y=y)
    heads = heads_of(view, network, MATCH, RIDGE)
    features = network.features(view.x, 0)[0]
    for rows in (FIT, HELD, torch.arange(60)):
        answer = fit_ridge(features[rows], view.y[rows], 2)
        head = heads.of(RIDGE, rows)
        assert torch.allclose(head.weight, answer.weight)
        assert torch.allclose(head.bias, answer.bias)
        classes = match_classes(network(view.x, 1).log_softmax(1)[rows], view.y[rows], 2)
        assert torch.equal(heads.of(MATCH, rows).weight, network.heads["1"].weight[classes])
    assert torch.equal(heads.of(RIDGE).weight, heads.of(RIDGE, torch.arange(60)).weight)
    assert not torch.equal(heads.of(MATCH, FIT).weight, heads.of(MATCH, HELD).weight)
    fresh = heads.of(fresh_plan(network))
    assert torch.equal(fresh.weight, network.new_head(2, 2).weight)


def test_a_ridge_head_sees_all_classes_of_many_rows_that_lie_class_by_class(view, monkeypatch):
    monkeypatch.setattr("cl_moe.continual.candidates.heads.RIDGE_ROWS", 10)
    order = view.y.argsort(stable=True)
    view = replace(view, x=view.x[order], y=view.y[order])
    assert (view.y[:10] == 0).all()
    network = network_of()
    head = heads_of(view, network, RIDGE).of(RIDGE)
    with torch.no_grad():
        answers = head({OWN: network.features(view.x, 0)[0]}).argmax(1)
    assert set(answers.tolist()) == {0, 1}


def test_rows_that_lie_class_by_class_are_looked_at_in_all_classes():
    """The first ones, as many as are looked at for evidence, are of one class."""
    n, draw = 900, torch.Generator().manual_seed(0)
    y = torch.arange(n) * 3 // n
    clue = F.one_hot(y, 3) + 0.2 * torch.randn(n, 3, generator=draw)
    x = torch.randn(n, 4, generator=draw)
    view = TaskView(2, "t", x, y, 3, 10, 8, lambda p: torch.optim.Adam(p))
    blocks = {RAW: x, Block(0): clue, Block(1): torch.randn(n, 2, generator=draw)}
    heads = Heads(view, network_of(), blocks)
    assert heads.of(ENSEMBLE).shares == {0: 1.0}


@pytest.mark.parametrize("plan", [ENSEMBLE, MATCH, RIDGE], ids=lambda plan: plan.kind)
class TestAnswers:
    def test_are_those_of_the_head_that_was_fitted_to_the_other_rows(self, plan, view):
        network = network_of()
        heads = heads_of(view, network, plan)
        found, head = heads.answers(plan, FIT, HELD), heads.of(plan, FIT)
        if plan.members:
            expected = head(network.blocks(view.x[HELD], plan.blocks))
        else:
            expected = head({OWN: network.features(view.x[HELD], plan.source)[0]})
        assert found.shape == (20, 2)
        # what a match gives are log-probabilities among all the old classes
        shift = (found - expected).mean(1, keepdim=True)
        assert torch.allclose(found, expected + shift, atol=1e-4)

    def test_do_not_depend_on_the_labels_held_out(self, plan, view):
        y = view.y.clone()
        y[HELD] = 1 - y[HELD]
        one, two = (
            heads_of(v, network_of(), plan).answers(plan, FIT, HELD)
            for v in (view, replace(view, y=y))
        )
        assert torch.equal(one, two)


def test_an_average_can_be_taken_over(view):
    network = network_of()
    network.add_task(2, [], heads_of(view, network, ENSEMBLE).of(ENSEMBLE))
    later = replace(view, task=3, y=1 - view.y)
    plan = Plan("matched", (), "match", source=2, train=False)
    heads = heads_of(later, network, plan)
    head = heads.of(plan)
    assert head.shares == network.heads["2"].shares
    network.add_task(3, [], head)
    assert torch.allclose(network(view.x, 3), network(view.x, 2)[:, [1, 0]], atol=1e-5)
    answers = heads.answers(plan, FIT, HELD)
    assert torch.equal(answers.argmax(1), network(view.x[HELD], 3).argmax(1))
