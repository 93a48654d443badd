"""Candidates before they are tried, and the heads that they begin with."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from cl_moe.continual.candidates.heads import Heads
from cl_moe.continual.candidates.plan import (
    Plan,
    decision_of,
    distinct_paths,
    fresh_plan,
    module_of,
)
from cl_moe.continual.evidence.ensemble import Opinion
from cl_moe.continual.evidence.matching import match_classes
from cl_moe.continual.evidence.ridge import fit_ridge
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.evidence import EvidenceGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork

FIT, HELD = torch.arange(40), torch.arange(40, 60)
OPINIONS = (Opinion((RAW,)), Opinion((RAW, Block(0))), Opinion((Block(1),)))
AVERAGE = Plan("average", (), "evidence", opinions=OPINIONS, train=False)
MATCH = Plan("take over", ("keep",), "match", source=1, train=False)
RIDGE = Plan("reuse", ("keep",), "ridge", source=0)


def network_of(layers=1, **options):
    shape, made = (4,), []
    for depth, factory in enumerate(cut(MLPExpert([6, 5]).stages(), layers)):
        gate = EvidenceGate(4, **options)
        made.append(MoELayer(factory, gate, shape, experts=2, seed=depth))
        shape = made[-1].out_shape
    network = MoENetwork(Chain(made))
    for task in range(2):
        network.add_task(task, [[f"e{task}"]] * layers, network.new_head(task, 3))
    return network.requires_grad_(False)


@pytest.fixture
def view():
    x = torch.randn(60, 4, generator=torch.Generator().manual_seed(0))
    y = (x[:, 0] > 0).long()
    return TaskView(2, "t", x, y, 2, 10, 8, lambda p: torch.optim.Adam(p))


def heads_of(view, network, *plans):
    wanted = {block for plan in plans for block in plan.blocks}
    with torch.no_grad():
        return Heads(view, network, network.blocks(view.x, wanted))


def test_a_plan_names_the_blocks_that_its_head_begins_from():
    assert AVERAGE.blocks == {RAW, Block(0), Block(1)}
    assert MATCH.blocks == {Block(1, "log answers")}
    assert RIDGE.blocks == {Block(0)}
    assert replace(RIDGE, head="fresh").blocks == set()
    assert Plan("fresh", ("fresh",), "fresh").blocks == set()


def test_a_plan_grows_where_it_copies_or_begins_anew_and_keeps_what_is_below():
    assert not RIDGE.grows
    assert not AVERAGE.grows
    assert not replace(RIDGE, starts=("retrain",)).grows
    branch = Plan("branch", ("keep", "keep", "copy"), "ridge", source=0)
    assert branch.grows
    assert branch.kept == 2
    assert RIDGE.kept == 1
    assert AVERAGE.kept == 0


def test_the_gate_decides_the_weights_of_an_average_and_nothing_else(view):
    noise = torch.randn(60, generator=torch.Generator().manual_seed(1))
    view = replace(view, y=(view.x[:, 0] + 3 * noise > 0).long())  # no answer is clearly the best

    def head_of(weights):
        network = network_of(k=3, weights=weights)
        return heads_of(view, network, AVERAGE).of(AVERAGE)

    evidence, uniform = head_of("evidence"), head_of("uniform")
    assert uniform.shares == pytest.approx({-1: 1 / 3, 0: 1 / 3, 1: 1 / 3})
    assert evidence.shares != pytest.approx(uniform.shares, abs=0.01)
    one, two = (
        weight / head.shares[1]  # a block that one opinion alone reads
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
        heads = heads_of(view, network, AVERAGE)
        assert heads.of(AVERAGE, FIT).shares == heads.of(AVERAGE).shares


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
    monkeypatch.setattr("cl_moe.continual.candidates.plan.RIDGE_ROWS", 10)
    order = view.y.argsort(stable=True)
    view = replace(view, x=view.x[order], y=view.y[order])
    assert (view.y[:10] == 0).all()
    network = network_of()
    head = heads_of(view, network, RIDGE).of(RIDGE)
    with torch.no_grad():
        answers = head(network.features(view.x, 0)[0]).argmax(1)
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
    assert heads.of(AVERAGE).shares == {0: 1.0}


@pytest.mark.parametrize("plan", [AVERAGE, MATCH, RIDGE], ids=lambda plan: plan.kind)
class TestAnswers:
    def test_are_those_of_the_head_that_was_fitted_to_the_other_rows(self, plan, view):
        network = network_of()
        heads = heads_of(view, network, plan)
        found, head = heads.answers(plan, FIT, HELD), heads.of(plan, FIT)
        if plan.opinions:
            expected = head(network.blocks(view.x[HELD], plan.blocks))
        else:
            expected = head(network.features(view.x[HELD], plan.source)[0])
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
    network.add_task(2, [], heads_of(view, network, AVERAGE).of(AVERAGE))
    later = replace(view, task=3, y=1 - view.y)
    plan = Plan("take over", (), "match", source=2, train=False)
    heads = heads_of(later, network, plan)
    head = heads.of(plan)
    assert head.shares == network.heads["2"].shares
    network.add_task(3, [], head)
    assert torch.allclose(network(view.x, 3), network(view.x, 2)[:, [1, 0]], atol=1e-5)
    answers = heads.answers(plan, FIT, HELD)
    assert torch.equal(answers.argmax(1), network(view.x[HELD], 3).argmax(1))


def test_a_path_is_stood_for_by_the_first_task_that_learned_it(view):
    network = network_of()
    network.add_task(2, [["e0"]], network.new_head(2, 2))
    network.add_task(3, [], heads_of(view, network, AVERAGE).of(AVERAGE))
    assert distinct_paths(network) == [0, 1]


def test_of_the_nearest_tasks_their_own_paths_are_looked_at_and_those_that_they_average(view):
    network = network_of()
    network.add_task(2, [["e0"]], network.new_head(2, 2))
    average = heads_of(view, network, AVERAGE).of(AVERAGE)
    average.shares = {-1: 0.4, 1: 0.6}
    network.add_task(3, [], average)
    assert distinct_paths(network, [0, 1, 2, 3]) == [0, 1]
    assert distinct_paths(network, [2]) == [0], "the first task stands for the path"
    assert distinct_paths(network, [3]) == [1]
    assert distinct_paths(network, [0, 3]) == [0, 1]
    average.shares = {-1: 1.0}
    assert distinct_paths(network, [3]) == [0], "no path is near: then any is looked at"


def test_a_fresh_start_takes_the_expert_that_waits():
    (factory,) = cut(MLPExpert([6]).stages(), 1)
    layer = MoELayer(factory, EvidenceGate(4), (4,))
    network, waiting = MoENetwork(Chain([layer])), layer.pool["e0"]
    plan = fresh_plan(network)
    assert plan.waiting == ("e0",)
    begun = module_of(plan, 0, network)
    assert begun is not waiting
    assert torch.equal(begun[0].weight, waiting[0].weight)
    network.add_task(0, [["e0"]], network.new_head(0, 2))
    assert fresh_plan(network).waiting == (None,)


def test_what_is_kept_is_the_same_and_what_is_copied_is_another_and_learns():
    network = network_of(layers=2)
    branch = Plan("branch", ("keep", "copy"), "ridge", source=1)
    low, high = (layer.pool["e1"] for layer in network.moe_layers)
    assert module_of(branch, 0, network) is low
    copied = module_of(branch, 1, network)
    assert copied is not high
    assert torch.equal(copied[0].weight, high[0].weight)
    assert all(p.requires_grad for p in copied.parameters())
    assert not any(p.requires_grad for p in high.parameters())


def test_a_decision_takes_the_modules_that_a_trial_has_trained(view):
    network = network_of(layers=2)
    plan = Plan("branch", ("keep", "copy"), "ridge", source=1)
    head, trained = nn.Linear(5, 2), nn.Linear(6, 5)
    decision = decision_of(plan, view, network, head, [trained], learned=3)
    assert decision.path == (("e1",), (trained,))
    assert (decision.head, decision.learned, decision.source) == (head, 3, 1)
    ((below,), (above,)) = decision_of(plan, view, network, head).path
    assert below == "e1"
    assert torch.equal(above[0].weight, network.moe_layers[1].pool["e1"][0].weight)
    retrain = decision_of(replace(plan, starts=("retrain", "copy")), view, network, head)
    assert retrain.retrain == ((0, "e1"),)
    assert isinstance(retrain.path[1][0], nn.Module)
