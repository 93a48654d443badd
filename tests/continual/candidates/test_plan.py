"""Candidates before they are tried: what they keep, copy and begin from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import nn

from cl_moe.continual.candidates.plan import (
    Plan,
    decision_of,
    distinct_paths,
    fresh_plan,
    module_of,
)
from cl_moe.continual.evidence.ensemble import EnsembleMember
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.edits import set_trainable
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.ensemble import EnsembleGate
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.heads.linear import LinearHead
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork

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


def average(shares):
    """A head that reads the raw input, with the shares of paths given."""
    return EnsembleHead({RAW: torch.zeros(2, 4)}, torch.zeros(2), shares)


def test_a_plan_names_the_blocks_that_its_head_begins_from():
    assert ENSEMBLE.blocks == {RAW, Block(0), Block(1)}
    assert MATCH.blocks == {Block(1, "log predictions")}
    assert RIDGE.blocks == {Block(0)}
    assert replace(RIDGE, head="fresh").blocks == set()
    assert Plan("fresh", ("fresh",), "fresh").blocks == set()


def test_a_plan_grows_where_it_copies_or_begins_anew_and_keeps_what_is_below():
    assert not RIDGE.grows
    assert not ENSEMBLE.grows
    assert not replace(RIDGE, starts=("retrain",)).grows
    branch = Plan("branch", ("keep", "keep", "copy"), "ridge", source=0)
    assert branch.grows
    assert branch.kept == 2
    assert RIDGE.kept == 1
    assert ENSEMBLE.kept == 0


def test_a_path_is_stood_for_by_the_first_task_that_learned_it():
    network = network_of()
    network.add_task(2, [["e0"]], network.new_head(2, 2))
    network.add_task(3, [], average({0: 0.5, 1: 0.5}))
    assert distinct_paths(network) == [0, 1]


def test_of_the_nearest_tasks_their_own_paths_are_looked_at_and_those_that_they_average():
    network = network_of()
    network.add_task(2, [["e0"]], network.new_head(2, 2))
    head = average({-1: 0.4, 1: 0.6})
    network.add_task(3, [], head)
    assert distinct_paths(network, [0, 1, 2, 3]) == [0, 1]
    assert distinct_paths(network, [2]) == [0], "the first task stands for the path"
    assert distinct_paths(network, [3]) == [1]
    assert distinct_paths(network, [0, 3]) == [0, 1]
    head.shares = {-1: 1.0}
    assert distinct_paths(network, [3]) == [0], "no path is near: then any is looked at"


def test_a_fresh_start_takes_the_expert_that_waits():
    (factory,) = cut(MLPExpert([6]).stages(), 1)
    layer = MoELayer(factory, EnsembleGate(4), (4,))
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
    head, trained = LinearHead(5, 2), nn.Linear(6, 5)
    decision = decision_of(plan, view, network, head, [trained], learned=3)
    assert decision.path == (("e1",), (trained,))
    assert (decision.head, decision.learned, decision.evidence.source) == (head, 3, 1)
    ((below,), (above,)) = decision_of(plan, view, network, head).path
    assert below == "e1"
    assert torch.equal(above[0].weight, network.moe_layers[1].pool["e1"][0].weight)
    retrain = decision_of(replace(plan, starts=("retrain", "copy")), view, network, head)
    assert retrain.retrain == ((0, "e1"),)
    assert isinstance(retrain.path[1][0], nn.Module)
