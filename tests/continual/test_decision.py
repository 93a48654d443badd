"""A decision is a value: the edits that give a task its path, and why."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from cl_moe.continual.decision import Candidate, Decision, Evidence, decide_path, fresh_expert
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW
from cl_moe.moe.edits import Add, Assign, Train, apply, set_trainable
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.gates.token import TokenGate
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork


def network_of(gate=TaskGate, experts=2, **options):
    shape, layers = (4,), []
    for factory in cut(MLPExpert([6, 5]).stages(), 2):
        layers.append(MoELayer(factory, gate(*shape), shape, experts=experts, **options))
        shape = layers[-1].out_shape
    return MoENetwork(Chain(layers))


def learned(network):
    """Task 0 on e0 in both layers, frozen; what else there is waits."""
    apply(network, decide_path(network, 0, [["e0"], ["e0"]], network.new_head(0, 2)))
    set_trainable(network, set())
    return network


def trained(edits):
    (train,) = (edit for edit in edits if isinstance(edit, Train))
    return set(train.parts)


def test_modules_join_the_pool_and_ids_are_taken_as_they_are():
    network = learned(network_of())
    new, head = network.moe_layers[1].make_next(), network.new_head(1, 3)
    edits = decide_path(network, 1, [["e0"], [new, "e1"]], head)
    adds = [edit for edit in edits if isinstance(edit, Add)]
    assert [(add.slot, add.key, add.expert) for add in adds] == [("layer1", "new 0", new)]
    assert trained(edits) == {"head/1", "layer1/new 0", "layer1/e1"}
    decision = Decision("branch", edits)
    assert decision.path == (("e0",), (new, "e1"))
    assert decision.head is head
    assert decision.added == {"layer1/new 0": new}
    assert decision.assign.experts == {"layer0": ("e0",), "layer1": ("new 0", "e1")}
    ids = apply(network, edits)
    assert ids == {"layer1/new 0": "e2"}
    assert network.path(1) == (("e0",), ("e2", "e1"))
    assert network.moe_layers[1].pool["e2"] is new
    assert network.moe_layers[0].pool.frozen == ["e0"]
    assert network.moe_layers[1].pool.trainable == ["e1", "e2"]


def test_several_new_experts_of_one_layer_have_keys_of_their_own():
    network = network_of(experts=0)
    new = [layer.make(str(n)) for layer in network.moe_layers for n in range(2)]
    edits = decide_path(network, 0, [new[:2], new[2:]], network.new_head(0, 2))
    assert Decision("fresh", edits).path == (tuple(new[:2]), tuple(new[2:]))
    apply(network, edits)
    assert network.path(0) == (("e0", "e1"), ("e0", "e1"))


def test_saying_what_is_to_be_done_does_nothing():
    network = learned(network_of())
    before, head = copy.deepcopy(network.state_dict()), network.new_head(1, 2)
    decide_path(network, 1, [[network.moe_layers[0].make_next()], ["e1"]], head)
    assert network.tasks == [0]
    assert [layer.pool.ids for layer in network.moe_layers] == [["e0", "e1"]] * 2
    assert before.keys() == network.state_dict().keys()


class TestWhatIsTrained:
    def test_frozen_experts_are_kept_unless_they_are_retrained(self):
        network = learned(network_of())
        head = network.new_head(1, 2)
        assert trained(decide_path(network, 1, [["e0"], ["e0"]], head)) == {"head/1"}
        retrained = decide_path(network, 1, [["e0"], ["e0"]], head, [(1, "e0")])
        assert trained(retrained) == {"head/1", "layer1/e0"}

    def test_behind_a_gate_that_offers_all_experts_all_that_may_learn_do(self):
        network = learned(network_of(TokenGate))
        found = trained(decide_path(network, 1, [["e0"], ["e0"]], network.new_head(1, 2)))
        assert found == {"head/1", "layer0/e1", "layer1/e1"}

    def test_what_all_tasks_share_learns_until_it_is_frozen(self):
        network = network_of(shared=True)
        head = network.new_head(0, 2)
        assert "base" in trained(decide_path(network, 0, [["e0"], ["e0"]], head))
        learned(network)
        head = network.new_head(1, 2)
        assert "base" not in trained(decide_path(network, 1, [["e1"], ["e1"]], head))

    def test_a_head_that_reads_other_paths_takes_no_experts(self):
        network = learned(network_of())
        head = EnsembleHead({RAW: torch.eye(2, 4)}, torch.zeros(2), {-1: 1.0})
        edits = decide_path(network, 1, [], head)
        assert [type(edit) for edit in edits] == [Assign, Train]
        assert trained(edits) == {"head/1"}
        assert Decision("ensemble", edits).path == ()


def test_an_expert_that_waits_is_taken_before_a_new_one_is_made():
    network = network_of()
    low = network.moe_layers[0]
    assert fresh_expert(low) == "e0"
    low.assign(0, ["e0"])
    assert fresh_expert(low) == "e1"
    low.assign(1, ["e1"])
    made = fresh_expert(low)
    assert isinstance(made, nn.Module)
    assert all(map(torch.equal, made.parameters(), low.make_next().parameters()))
    assert low.pool.ids == ["e0", "e1"]


def test_the_winner_is_the_candidate_that_was_chosen():
    tried = (Candidate("reuse", 0, 0.7), Candidate("fresh", None, 0.9))
    assert Evidence(None, tried, 1).winner is tried[1]
    assert Evidence(0).winner is None


@pytest.mark.parametrize("kind", ["fixed", "fresh"])
def test_nothing_need_be_weighed(kind):
    network = network_of()
    edits = decide_path(network, 0, [["e0", "e1"], ["e0"]], network.new_head(0, 2))
    decision = Decision(kind, edits)
    assert decision.evidence == Evidence()
    assert (decision.train, decision.steps, decision.learned, decision.retrain) == (True, 0, 0, ())
