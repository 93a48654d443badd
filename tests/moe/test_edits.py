"""Edits change what they name, in order, and nothing else; what is frozen does not move."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_moe import catalog
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW
from cl_moe.moe.edits import (
    Add,
    Assign,
    Remove,
    Replace,
    Train,
    apply,
    base_part,
    expert_part,
    head_part,
    named,
    set_trainable,
)
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork

GATES = [catalog.resolve("gate", name) for name in catalog.names("gate")]


def normed(shape):
    return nn.Sequential(nn.Linear(*shape, 4), nn.BatchNorm1d(4), nn.Dropout(0.5))


@pytest.fixture
def network():
    """Two slots with one expert each that waits, a shared expert in each, and an encoder."""
    layers = [MoELayer(normed, TaskGate(4), (4,), shared=True, seed=seed) for seed in range(2)]
    return MoENetwork(Chain(layers, nn.Linear(4, 4)))


@pytest.fixture
def two_tasks(network):
    """Task 0 on e0 in both slots; task 1 on e0 below and e1 above."""
    add_task(network, 0, "e0", "e0")
    add = Add("layer1", "upper", network.moe_layers[1].make_next())
    add_task(network, 1, "e0", "upper", add)
    return network


def add_task(network, task, low, high, *adds):
    head = network.new_head(task, 2)
    return apply(network, [*adds, Assign(task, {"layer0": (low,), "layer1": (high,)}, head)])


def trained(network):
    return {name for name, p in network.named_parameters() if p.requires_grad}


def in_training(network):
    return {name for name, module in network.named_modules() if name and module.training}


def test_parts_have_names():
    assert expert_part("layer0", "e1") == "layer0/e1"
    assert head_part(3) == "head/3"
    assert base_part() == "base"
    assert named("layer0/new", {"layer0/new": "e7"}) == "layer0/e7"
    assert named("head/3", {"layer0/new": "e7"}) == "head/3"
    assert named("block.2/attention/new", {"block.2/attention/new": "e1"}) == (
        "block.2/attention/e1"
    )


class TestAdd:
    def test_later_edits_of_the_list_call_the_expert_by_its_key(self, network):
        low, high = (layer.make_next() for layer in network.moe_layers)
        experts = {"layer0": ("new",), "layer1": ("e0", "new")}
        ids = apply(
            network,
            [
                Add("layer0", "new", low),
                Add("layer1", "new", high),
                Assign(5, experts, network.new_head(5, 2)),
                Train(frozenset({"layer1/new", "head/5"})),
            ],
        )
        assert ids == {"layer0/new": "e1", "layer1/new": "e1"}
        assert network.path(5) == (("e1",), ("e0", "e1"))
        assert network.moe_layers[0].pool["e1"] is low
        assert network.moe_layers[1].pool["e1"] is high
        assert network.moe_layers[0].pool.frozen == ["e1"]
        assert network.moe_layers[1].pool.frozen == ["e0"]  # it is in use, and not named

    def test_one_key_may_be_used_in_each_slot_and_again_in_the_next_list(self, network):
        for expected in ("e1", "e2"):
            expert = network.moe_layers[0].make_next()
            assert apply(network, [Add("layer0", "new", expert)]) == {"layer0/new": expected}


class TestAssign:
    def test_a_task_gets_its_experts_and_its_head(self, network):
        head = network.new_head(0, 2)
        apply(network, [Assign(0, {"layer1": ("e0",), "layer0": ("e0",)}, head)])
        assert network.head(0) is head
        assert network.path(0) == (("e0",), ("e0",))
        assert network.first_on == {(("e0",), ("e0",)): 0}

    def test_a_head_that_reads_other_paths_takes_no_experts(self, network):
        head = EnsembleHead({RAW: torch.eye(2, 4)}, torch.zeros(2), {-1: 1.0})
        apply(network, [Assign(0, {}, head)])
        assert network.tasks == [0]
        assert network.first_on == {}
        assert all(not layer.assigned for layer in network.moe_layers)


class TestReplace:
    def test_parameters_and_buffers_take_new_values_and_are_the_same_objects(self, two_tasks):
        pool = two_tasks.moe_layers[0].pool
        set_trainable(two_tasks, set())
        expert = pool["e0"]
        new = {"0.weight": torch.full((4, 4), 2.0), "1.running_mean": torch.arange(4.0)}
        before = {n: v.clone() for n, v in expert.state_dict().items() if n not in new}
        held = {name: id(value) for name, value in expert.state_dict(keep_vars=True).items()}
        apply(two_tasks, [Replace("layer0", "e0", new)])
        assert all(torch.equal(expert.state_dict()[n], value) for n, value in new.items())
        assert all(torch.equal(expert.state_dict()[n], value) for n, value in before.items())
        assert held == {n: id(value) for n, value in expert.state_dict(keep_vars=True).items()}
        assert pool.frozen == ["e0"]
        assert not any(p.requires_grad for p in expert.parameters())

    def test_a_name_that_the_expert_does_not_have_is_refused(self, two_tasks):
        with pytest.raises(AssertionError, match=r"no \['0.wait'\]"):
            apply(two_tasks, [Replace("layer0", "e0", {"0.wait": torch.zeros(1)})])


class TestRemove:
    def test_those_who_used_it_use_the_other_one(self, two_tasks):
        layer = two_tasks.moe_layers[1]
        apply(two_tasks, [Remove("layer1", "e1", into="e0")])
        assert layer.pool.ids == ["e0"]
        assert two_tasks.path(1) == two_tasks.path(0) == (("e0",), ("e0",))
        assert two_tasks.first_on == {(("e0",), ("e0",)): 0}
        x = torch.rand(3, 4)
        two_tasks.eval()
        assert torch.equal(two_tasks.features(x, 0)[0], two_tasks.features(x, 1)[0])

    def test_the_task_that_stands_for_a_path_is_found_anew(self, two_tasks):
        apply(two_tasks, [Remove("layer1", "e0", into="e1")])
        assert two_tasks.first_on == {(("e0",), ("e1",)): 0}
        assert [two_tasks.route(task) for task in two_tasks.tasks] == [0, 0]

    def test_what_no_task_uses_needs_no_other(self, network):
        apply(network, [Remove("layer0", "e0")])
        assert network.moe_layers[0].pool.ids == []
        assert apply(network, [Add("layer0", "k", nn.Linear(4, 4))]) == {"layer0/k": "e1"}

    def test_what_is_in_use_is_not_dropped(self, two_tasks):
        with pytest.raises(AssertionError, match=r"tasks \[0, 1\] use layer0/e0"):
            apply(two_tasks, [Remove("layer0", "e0")])
        with pytest.raises(AssertionError, match="layer1 has no e9"):
            apply(two_tasks, [Remove("layer1", "e0", into="e9")])
        assert two_tasks.moe_layers[1].pool.ids == ["e0", "e1"]

    @pytest.mark.parametrize("gate", GATES)
    @pytest.mark.parametrize("into", ["e0", "e2"])
    def test_behind_any_gate_a_task_is_answered_by_what_is_left(self, gate, into):
        """Task 0 uses e1 beside e0, and gets ``into`` for it: one that it uses, or a new one."""
        layer = MoELayer(normed, gate(4, k=2), (4,), experts=3)
        network = MoENetwork(Chain([layer])).eval()
        network.add_task(0, [["e0", "e1"]], network.new_head(0, 2))
        apply(network, [Remove("layer0", "e1", into=into)])
        assert layer.pool.ids == ["e0", "e2"]
        assert not any("e1" in name for name, _ in network.named_parameters())
        network.eval()
        x = torch.rand(3, 4)
        with layer.context.of(0) as context:
            found, routing = layer(x), context.routings["layer0"]
        ids, expected = layer.offered(0), torch.zeros(3, 4)
        for place in range(2):
            chosen = routing.chosen[:, place].expand(3)
            weight = routing.weights[:, place].expand(3)
            outputs = torch.stack([layer.pool[ids[int(one)]](x)[n] for n, one in enumerate(chosen)])
            expected = expected + weight[:, None] * outputs
        assert torch.allclose(found, expected, atol=1e-6)
        if gate.task_aware and into == "e0":
            assert torch.allclose(found, layer.pool["e0"](x), atol=1e-6)
        assert torch.allclose(network.for_task(0)(x), network(x, 0), atol=1e-6)


class TestTrain:
    def test_what_is_named_is_trained_and_all_else_is_frozen(self, two_tasks):
        apply(two_tasks, [Train(frozenset({"layer1/e1", "head/1"}))])
        starts = ("backbone.layers.1.pool.experts.e1.", "heads.1.")
        gates = {f"backbone.layers.{depth}.gate.rows.1" for depth in range(2)}
        found = trained(two_tasks)
        assert {name for name in found if not name.startswith(starts)} == gates
        assert {name for name, _ in two_tasks.named_parameters() if name.startswith(starts)} < found

    def test_what_is_frozen_is_in_evaluation_mode_whatever_mode_is_set(self, two_tasks):
        apply(two_tasks, [Train(frozenset({"layer1/e1", "head/1"}))])
        two_tasks.eval().train()
        frozen = [
            *two_tasks.moe_layers[0].pool["e0"].modules(),
            *two_tasks.moe_layers[1].pool["e0"].modules(),
            *(layer.shared for layer in two_tasks.moe_layers),
            two_tasks.backbone.encoder,
            two_tasks.head(0),
        ]
        assert not any(module.training for module in frozen)
        assert all(module.training for module in two_tasks.moe_layers[1].pool["e1"].modules())
        before = {n: b.clone() for n, b in two_tasks.named_buffers()}
        two_tasks(torch.rand(9, 4), 0)
        two_tasks(torch.rand(9, 4), 1)
        moved = {n for n, b in two_tasks.named_buffers() if not torch.equal(b, before[n])}
        assert {name.split(".1.running")[0].split(".1.num")[0] for name in moved} == {
            "backbone.layers.1.pool.experts.e1"
        }

    def test_what_waits_in_a_pool_is_left_as_it_is(self, network):
        add = Add("layer0", "new", network.moe_layers[0].make_next())
        add_task(network, 0, "new", "e0", add)
        apply(network, [Train(frozenset())])
        assert network.moe_layers[0].pool.trainable == ["e0"]  # it waits
        assert network.moe_layers[0].pool.frozen == ["e1"]
        assert network.moe_layers[1].pool.frozen == ["e0"]

    def test_the_base_is_a_part_like_others(self, two_tasks):
        apply(two_tasks, [Train(frozenset())])
        assert trained(two_tasks) == set()
        assert in_training(two_tasks).isdisjoint({"backbone.base.encoder"})
        apply(two_tasks, [Train(frozenset({"base"}))])
        names = {name.rpartition(".")[0] for name in trained(two_tasks)}
        assert {name for name in names if "base" in name} == {"backbone.base.encoder"}
        assert {name.split(".common")[0] for name in names if "common" in name} == {
            "backbone.layers.0",
            "backbone.layers.1",
        }
        assert len([name for name in names if "pool" in name or "heads" in name]) == 0

    def test_what_was_frozen_may_be_trained_again_with_its_modes(self, two_tasks):
        apply(two_tasks, [Train(frozenset())])
        apply(two_tasks, [Train(frozenset({"layer0/e0", "head/0"}))])
        expert = two_tasks.moe_layers[0].pool["e0"]
        assert all(p.requires_grad for p in expert.parameters())
        assert all(module.training for module in expert.modules())
        assert {name for name in trained(two_tasks) if name.startswith("heads.")} == {
            "heads.0.weight",
            "heads.0.bias",
        }

    def test_gradients_of_what_is_frozen_are_dropped(self, two_tasks):
        two_tasks(torch.rand(9, 4), 0).sum().backward()
        apply(two_tasks, [Train(frozenset())])
        assert all(p.grad is None for _, p in two_tasks.named_parameters())

    def test_what_its_author_switched_off_stays_off(self, two_tasks):
        expert = two_tasks.moe_layers[0].pool["e0"]
        expert[0].bias.requires_grad_(False)
        for parts in ({"layer0/e0"}, set(), {"layer0/e0"}):
            apply(two_tasks, [Train(frozenset(parts))])
        assert not expert[0].bias.requires_grad
        assert expert[0].weight.requires_grad
        apply(two_tasks, [Train(frozenset())])
        copied = two_tasks.moe_layers[0].pool.copy_of("e0")
        assert not copied[0].bias.requires_grad
        assert copied[0].weight.requires_grad
