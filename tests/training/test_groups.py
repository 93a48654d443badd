"""Parameter groups with settings of their own: what is new joins those like it."""

from __future__ import annotations

import json

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.optim import SGD, AdamW

from cl_moe.strategies.networks import build_moe
from cl_moe.streams.spec import NetworkSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task
from cl_moe.training.groups import ParameterGroups
from cl_moe.training.optimizer import sync_optimizer
from cl_moe.training.plugin import MoEPlugin

NETWORK = NetworkSpec(hidden=[8, 8], layers=2)


def xor(name, seed, place):
    x = torch.randn(400, 6, generator=torch.Generator().manual_seed(seed))
    y = (x[:, place] * x[:, place + 1] > 0).long()
    return Task(name, (x[:200], y[:200]), (x[200:], y[200:]), ("no", "yes"))


@pytest.fixture(scope="module")
def xors():
    return TaskStream([xor("a", 0, 0), xor("b", 1, 2), xor("c", 2, 4)])


def split(model, *patterns):
    """Return a group of the parameters for each pattern in their names, and one of the rest."""
    groups = [[] for _ in (*patterns, "")]
    for name, parameter in model.named_parameters():
        groups[next((i for i, p in enumerate(patterns) if p in name), -1)].append(parameter)
    return groups


class Held(SupervisedPlugin):
    """Notes in which group each parameter that learns is, by its name."""

    def __init__(self):
        super().__init__()
        self.groups = []

    def after_update(self, strategy, **kwargs):
        names = {id(p): name for name, p in strategy.model.named_parameters()}
        groups = [
            sorted(names[id(p)] for p in g["params"]) for g in strategy.optimizer.param_groups
        ]
        held = [name for group in groups for name in group]
        assert len(held) == len(set(held)), "a parameter is in two groups"
        trained = {name for name, p in strategy.model.named_parameters() if p.requires_grad}
        assert set(held) == trained
        self.groups.append(groups)


def learn(stream, growth, optimizer_of, gate="task", network=NETWORK, epochs=8):
    torch.manual_seed(0)
    model, plugin, held = build_moe(network, (6,), 0, gate), MoEPlugin(growth), Held()
    strategy = Naive(
        model=model,
        optimizer=optimizer_of(model),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=16,
        train_epochs=epochs,
        plugins=[plugin, held],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    for experience in stream.to_benchmark().train_stream:
        strategy.train(experience, eval_streams=[])
    model.eval()
    with torch.no_grad():
        outputs = [model(task.tensors("test")[0], k) for k, task in enumerate(stream)]
    return [event["kind"] for event in plugin.events], outputs, held.groups


def one_group(model):
    return SGD(model.parameters(), lr=0.1, momentum=0.9)


def with_rates(*groups):
    return SGD(
        [{"params": params, "lr": rate} for params, rate in groups if params is not None],
        lr=0.1,
        momentum=0.9,
    )


def experts_first(model):
    experts, rest = split(model, "pool")
    return with_rates((experts, 0.1), (rest, 1e-6))


def three_groups(model):
    experts, gates, rest = split(model, "pool", "gate")
    return with_rates((rest, 1e-6), (gates, 1e-6), (experts, 0.1))


@pytest.mark.parametrize("growth", ["reuse_or_grow", "mntdp"])
@pytest.mark.parametrize("make", [experts_first, three_groups])
def test_the_order_of_groups_changes_no_decision_and_no_answer(xors, growth, make):
    kinds, outputs, _ = learn(xors, growth, one_group)
    found_kinds, found, _ = learn(xors, growth, make)
    assert found_kinds == kinds
    assert all(map(torch.equal, found, outputs))


@pytest.mark.parametrize("growth", ["reuse_or_grow", "per_task"])
def test_every_expert_is_in_the_group_of_its_slot(xors, growth):
    def make(model):
        first, second, _ = split(model, "layers.0.pool", "layers.1.pool")
        return with_rates((second, 0.05), (first, 0.05))

    _, _, groups = learn(xors, growth, make, epochs=2)
    for second, first in groups:
        assert not any("layers.0.pool" in name for name in second)
        assert not any("layers.1.pool" in name for name in first)
    assert any(first for _, first in groups)
    assert any(second for second, _ in groups)


def test_weights_and_biases_in_groups_of_their_own(xors):
    """Weight decay for weights alone: Avalanche by itself finds no unique group for a new head."""

    def make(model):
        biases, weights = split(model, "bias")
        return AdamW(
            [{"params": weights, "weight_decay": 0.1}, {"params": biases, "weight_decay": 0.0}],
            lr=0.01,
        )

    _, _, groups = learn(xors, "per_task", make, epochs=3)
    for weights, biases in groups:
        assert weights
        assert biases
        assert not any(name.endswith("bias") for name in weights)
        assert all(name.endswith("bias") for name in biases)


def test_heads_join_the_heads_that_there_are(xors):
    model = build_moe(NETWORK, (6,), 0)
    network = model.network
    network.add_task(0, [["e0"], ["e0"]], network.new_head(0, 2))
    head, experts, _ = split(model, "heads", "pool")
    optimizer = with_rates((experts, 0.1), (head, 0.5))
    groups = ParameterGroups()
    groups.note(optimizer, network)
    parts = {"layer0/new": network.moe_layers[0].make_next(), "head/1": network.new_head(1, 2)}
    trial = groups.optimizer_for(optimizer, parts)
    rates = {id(p): group["lr"] for group in trial.param_groups for p in group["params"]}
    assert {rates[id(p)] for p in parts["head/1"].parameters()} == {0.5}
    assert {rates[id(p)] for p in parts["layer0/new"].parameters()} == {0.1}
    assert all(group["momentum"] == 0.9 for group in trial.param_groups)
    assert not trial.state


def test_with_one_group_a_trials_optimizer_holds_the_parts_in_their_order():
    model = build_moe(NETWORK, (6,), 0)
    network, optimizer = model.network, one_group(model)
    groups = ParameterGroups()
    groups.note(optimizer, network)
    frozen = network.moe_layers[1].make_next().requires_grad_(False)
    parts = {
        "layer0/new": network.moe_layers[0].make_next(),
        "layer1/new": frozen,
        "head/0": network.new_head(0, 2),
    }
    (group,) = groups.optimizer_for(optimizer, parts).param_groups
    expected = [p for part in parts.values() for p in part.parameters() if p.requires_grad]
    assert [id(p) for p in group["params"]] == [id(p) for p in expected]
    assert not groups.place(optimizer, network)


def test_a_parameter_that_is_held_twice_is_held_once_afterwards():
    layer = nn.Linear(2, 2)
    optimizer = SGD([{"params": [layer.weight]}, {"params": [layer.bias]}], lr=0.1)
    optimizer.param_groups[1]["params"] += [layer.weight, layer.bias]
    sync_optimizer(optimizer, layer)
    assert [len(group["params"]) for group in optimizer.param_groups] == [1, 1]


def test_restored_groups_place_later_parts_alike():
    model = build_moe(NETWORK, (6,), 0)
    network = model.network
    network.add_task(0, [["e0"], ["e0"]], network.new_head(0, 2))
    head, experts, _ = split(model, "heads", "pool")
    optimizer = with_rates((experts, 0.1), (head, 0.5))
    groups, again = ParameterGroups(), ParameterGroups()
    groups.note(optimizer, network)
    again.restore(json.loads(json.dumps(groups.state())))
    made = again.optimizer_for(optimizer, {"head/1": network.new_head(1, 2)}).param_groups
    assert [group["lr"] for group in made] == [0.5]
