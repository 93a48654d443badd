"""What has been learned does not move with trunks that keep more than parameters.

Running statistics, power iterations and dropout follow the mode a module is in; what the author of
a trunk has switched off stays off.
"""

from __future__ import annotations

import math
import warnings

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.nn.utils.parametrizations import spectral_norm

from cl_moe.strategies.networks import build_moe
from cl_moe.strategies.task_aware import TaskAwareMoE
from cl_moe.streams.spec import NetworkSpec, TrainingSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task
from cl_moe.training.plugin import MoEPlugin, make_growth

ROWS = 96


def normed(shape):
    linear = spectral_norm(nn.Linear(math.prod(shape), 12))
    return nn.Sequential(nn.Flatten(), linear, nn.BatchNorm1d(12), nn.ReLU())


def dropped(shape):
    return nn.Sequential(nn.Flatten(), nn.Linear(math.prod(shape), 12), nn.ReLU(), nn.Dropout(0.5))


def half_fixed(shape):
    """A random projection that its author keeps as it is, below a layer that learns."""
    fixed = nn.Linear(math.prod(shape), 12)
    fixed.weight.requires_grad_(False)
    return nn.Sequential(fixed, nn.ReLU(), nn.Linear(12, 8), nn.ReLU())


def shifted(position):
    """A task around a centre of its own, so that statistics of one are wrong for another."""
    draw = torch.Generator().manual_seed(position)
    y = torch.arange(2 * ROWS) % 2
    x = torch.randn(2 * ROWS, 6, generator=draw) + 3.0 * position
    x[:, position] += 2 * (2 * y - 1)
    train, test = (x[:ROWS], y[:ROWS]), (x[ROWS:], y[ROWS:])
    return Task(f"t{position}", train, test, ("a", "b"))


STREAM = TaskStream([shifted(position) for position in range(3)])
POLICIES = {
    "reuse_or_grow": ("reuse_or_grow", {}),
    "copies": ("reuse_or_grow", {"kinds": ["copy"]}),
    "trials that win": ("reuse_or_grow", {"kinds": ["ensemble", "copy", "fresh"], "margin": -9.0}),
    "per_task": ("per_task", {}),
    "mntdp": ("mntdp", {}),
}


def task_aware(trunk, gate, growth, *plugins):
    torch.manual_seed(0)
    strategy = TaskAwareMoE(
        shape=STREAM.shape,
        network=NetworkSpec(kind=f"{__name__}:{trunk.__name__}"),
        training=TrainingSpec(epochs=2, batch_size=16, learning_rate=0.01, min_steps=0),
        gate=gate,
        gate_options={"k": 3 if gate == "token" else 1},
        growth=growth,
        plugins=list(plugins),
    )
    return strategy, strategy.events


def naive(trunk, gate, growth, *plugins):
    torch.manual_seed(0)
    moe = MoEPlugin(growth)
    spec = NetworkSpec(kind=f"{__name__}:{trunk.__name__}")
    options = {"k": 3 if gate == "token" else 1}
    model = build_moe(spec, STREAM.shape, seed=0, gate=gate, gate_options=options)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        strategy = Naive(
            model=model,
            optimizer=torch.optim.Adam(model.parameters(), lr=0.01),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=16,
            train_epochs=2,
            plugins=[moe, *plugins],
            evaluator=EvaluationPlugin(),
        )
    return strategy, moe.events


@torch.no_grad()
def answers(network, task):
    """The logits of a task for its own test rows, as they are given."""
    modes = [(module, module.training) for module in network.modules()]
    network.eval()
    found = network(STREAM[task].tensors("test")[0], task).clone()
    for module, training in modes:
        module.__dict__["training"] = training
    return found


def held(module):
    """Copies of all that a module holds, parameters and buffers."""
    kept = {**dict(module.named_parameters()), **dict(module.named_buffers())}
    return {name: tensor.detach().clone() for name, tensor in kept.items()}


def frozen(network):
    """What the frozen experts and heads hold."""
    (layer,) = network.moe_layers
    parts = {f"expert {id_}": layer.pool[id_] for id_ in layer.pool.frozen}
    parts |= {f"head {task}": network.head(task) for task in network.tasks}
    return {f"{part} {k}": v for part, module in parts.items() for k, v in held(module).items()}


def moved(before, now):
    return {name for name, value in before.items() if not torch.equal(value, now[name])}


class Watch(SupervisedPlugin):
    """Notes what earlier tasks answer once a decision was applied, before anything is trained."""

    def __init__(self):
        super().__init__()
        self.noted = []

    def before_training_exp(self, strategy, *args, **kwargs):
        network = strategy.model.network
        learned = [task for task in network.tasks if task != strategy.experience.current_experience]
        self.noted.append({task: answers(network, task) for task in learned})


class Decides:
    """A policy of the catalogue that is watched while it decides."""

    def __init__(self, policy):
        self.policy, self.decide_as_before, self.moved = policy, policy.decide, []
        policy.decide = self.decide

    def decide(self, view, network):
        assert not any(module.training for module in network.modules())
        before, said = held(network), [answers(network, task) for task in network.tasks]
        decision = self.decide_as_before(view, network)
        self.moved.append(moved(before, held(network)))
        now = [answers(network, task) for task in network.tasks]
        assert all(map(torch.equal, said, now))
        return decision


@pytest.mark.parametrize("trunk", [normed, dropped], ids=lambda trunk: trunk.__name__)
@pytest.mark.parametrize("growth", POLICIES)
@pytest.mark.parametrize("gate", ["task", "token"])
@pytest.mark.parametrize("way", [task_aware, naive], ids=lambda way: way.__name__)
def test_earlier_answers_are_the_same_bit_for_bit(trunk, growth, gate, way):
    """A token gate offers a task's rows later experts too: there what is frozen is the same."""
    policy = make_growth(*POLICIES[growth])
    watched, watch = Decides(policy), Watch()
    strategy, events = way(trunk, gate, policy, watch)
    network = strategy.model.network
    kept, said = {}, {}
    for position, experience in enumerate(STREAM.to_benchmark().train_stream):
        strategy.train(experience, eval_streams=[])
        assert not moved(kept, frozen(network))
        if gate != "token":
            assert not moved(said, watch.noted[position])
            assert not moved(said, {task: answers(network, task) for task in said})
        kept, said[position] = frozen(network), answers(network, position)
    assert watched.moved == [set()] * 3
    assert [event["task"] for event in events] == [0, 1, 2]
    assert kept


def test_statistics_of_the_task_in_training_do_move():
    """Else the tests above would hold of a trunk that never sees its own data."""
    strategy, _ = task_aware(normed, "task", make_growth("per_task"))
    pool = strategy.model.network.moe_layers[0].pool
    for position, experience in enumerate(STREAM.to_benchmark().train_stream):
        strategy.train(experience, eval_streams=[])
        norm = pool[f"e{position}"][2]
        assert norm.num_batches_tracked == 12
        assert not norm.training


@pytest.mark.parametrize("way", [task_aware, naive], ids=lambda way: way.__name__)
@pytest.mark.parametrize("protect", ["none", "distillation", "ewc"])
def test_what_the_author_switched_off_stays_off(way, protect):
    """In an expert that is learned, frozen, copied, and at last retrained in place."""
    options = {"kinds": ["copy"], "max_experts": 2, "protect": protect}
    strategy, events = way(half_fixed, "task", make_growth("reuse_or_grow", options))
    layer = strategy.model.network.moe_layers[0]
    start = layer.pool["e0"][0].weight.detach().clone()
    for experience in STREAM.to_benchmark().train_stream:
        before = {id_: held(layer.pool[id_]) for id_ in layer.pool.ids}
        strategy.train(experience, eval_streams=[])
    assert [event["kind"] for event in events] == ["fresh", "copy", "reassign"]
    ((_, retrained),) = events[-1]["retrained"]
    assert {"2.weight", "2.bias"} <= moved(before[retrained], held(layer.pool[retrained]))
    assert layer.pool.ids == ["e0", "e1"]
    for id_ in layer.pool.ids:
        assert torch.equal(layer.pool[id_][0].weight, start)
        assert not any(p.requires_grad for p in layer.pool[id_].parameters())
        layer.pool.unfreeze(id_)
        flags = {name: p.requires_grad for name, p in layer.pool[id_].named_parameters()}
        assert flags == {"0.weight": False, "0.bias": True, "2.weight": True, "2.bias": True}
