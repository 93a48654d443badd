"""Tasks that are learned at the same time build on what was learned before, not on each other."""

from __future__ import annotations

import warnings

import pytest
import torch
from avalanche.benchmarks import dataset_benchmark
from avalanche.benchmarks.utils import (
    ConstantSequence,
    DataAttribute,
    TaskAwareSupervisedClassificationDataset,
    TaskLabels,
)
from avalanche.core import SupervisedPlugin
from avalanche.training import JointTraining, Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.utils.data import TensorDataset

from cl_moe.moe.edits import expert_part, head_part
from cl_moe.strategies.baselines.joint import JointStrategy
from cl_moe.strategies.networks import build_moe
from cl_moe.strategies.task_aware import TaskAwareMoE
from cl_moe.streams.spec import NetworkSpec, TrainingSpec
from cl_moe.training.arrivals import arriving, rows_of, without_learning
from cl_moe.training.plugin import MoEPlugin

GROWTHS = ["reuse_or_grow", "per_task", "fixed", "mntdp"]
NETWORK = NetworkSpec(hidden=[12, 8], layers=2)


def blobs(n, seed, classes=2):
    draw = torch.Generator().manual_seed(seed)
    centres = 2.0 * torch.randn(classes, 6, generator=draw)
    y = torch.arange(n) % classes
    return centres[y] + 0.5 * torch.randn(n, 6, generator=draw), y


def xor(n, seed, place):
    """No head can do it on the raw input: the path that has learned it is worth reading."""
    x = torch.randn(n, 6, generator=torch.Generator().manual_seed(seed))
    return x, (x[:, place] * x[:, place + 1] > 0).long()


def data(x, y, task):
    attributes = [
        DataAttribute(y.tolist(), "targets"),
        TaskLabels(ConstantSequence(task, len(y))),
    ]
    return TaskAwareSupervisedClassificationDataset(
        [TensorDataset(x, y)], data_attributes=attributes
    )


def experiences(*parts):
    """Return experiences, each of the data sets given: one or several tasks."""
    whole = [part[0] if len(part) == 1 else part[0].concat(part[1]) for part in parts]
    return list(dataset_benchmark(whole, whole).train_stream)


def joint(kind, growth):
    model = build_moe(NETWORK, shape=(6,), seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        if kind is JointStrategy:
            training = TrainingSpec(epochs=4, batch_size=16, min_steps=0, learning_rate=0.01)
            return JointStrategy(model=model, training=training, plugins=[MoEPlugin(growth)])
        return kind(
            model=model,
            optimizer=torch.optim.Adam(model.parameters(), lr=0.01),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=16,
            train_epochs=8,
            plugins=[MoEPlugin(growth)],
            evaluator=EvaluationPlugin(loggers=[]),
        )


@pytest.mark.parametrize("growth", GROWTHS)
@pytest.mark.parametrize("kind", [JointTraining, JointStrategy])
def test_joint_training_gives_every_task_experts_and_a_head(kind, growth):
    sets = [blobs(64, seed, classes) for seed, classes in ((0, 2), (1, 3), (2, 2))]
    strategy = joint(kind, growth)
    strategy.train(experiences(*[[data(*rows, t)] for t, rows in enumerate(sets)]), eval_streams=[])
    network, model = strategy.model.network, strategy.model.eval()
    assert network.tasks == [0, 1, 2]
    assert [network.n_classes(task) for task in range(3)] == [2, 3, 2]
    if growth != "fixed":
        assert len({network.path(task) for task in range(3)}) == 3
        assert len({id_ for task in range(3) for id_ in network.path(task)[0]}) == 3
    with torch.no_grad():
        right = [(model(x, t).argmax(1) == y).float().mean() for t, (x, y) in enumerate(sets)]
    assert min(right) > 0.85
    plugin = next(p for p in strategy.plugins if isinstance(p, MoEPlugin))
    assert [event["task"] for event in plugin.events] == [0, 1, 2]
    assert all(event["usage"] for event in plugin.events)
    assert not any(p.requires_grad for p in network.heads.parameters())


@pytest.mark.parametrize("kind", [JointTraining, JointStrategy])
def test_a_label_that_several_joint_experiences_have_is_one_task(kind):
    first, second = blobs(40, 0, 3), blobs(30, 1)
    narrow = first[0][first[1] < 2], first[1][first[1] < 2]
    strategy = joint(kind, "reuse_or_grow")
    parts = [[data(*narrow, 0)], [data(*second, 1)], [data(*first, 0)]]
    rows = {}

    class Recorder(SupervisedPlugin):
        def before_train_dataset_adaptation(self, strategy, **kwargs):
            rows.update({task: rows_of(strategy, task) for task in arriving(strategy)})
            outputs = {task: aim.n_outputs for task, aim in arriving(strategy).items()}
            assert outputs == {0: 3, 1: 2}

    strategy.plugins.insert(0, Recorder())
    strategy.train(experiences(*parts), eval_streams=[])
    assert {task: len(y) for task, (_, y) in rows.items()} == {0: len(narrow[1]) + 40, 1: 30}
    assert torch.equal(rows[0][0], torch.cat([narrow[0], first[0]]))
    assert strategy.model.network.n_classes(0) == 3


def averaging(**options):
    """Return a strategy that answers small tasks by averages, and trains large ones."""
    return TaskAwareMoE(
        shape=(6,),
        network=NetworkSpec(hidden=[12]),
        training=TrainingSpec(epochs=20, batch_size=16, min_steps=0, learning_rate=0.01),
        growth_options={"ensemble_up_to": 100, "kinds": ["ensemble", "fresh"]},
        **options,
    )


class Decided(SupervisedPlugin):
    """Notes what the heads of averages read as soon as they are decided."""

    def __init__(self, x):
        super().__init__()
        self.x, self.read = x, {}

    def after_train_dataset_adaptation(self, strategy, **kwargs):
        network = strategy.model.network
        network.eval()
        for task in network.tasks:
            if task not in self.read and not network.owns_path(task):
                self.read[task] = read_by(network, task, self.x)
        network.train()


@torch.no_grad()
def read_by(network, task, x):
    return list(network.blocks(x, network.head(task).blocks).values())


@pytest.mark.parametrize("returns", [False, True], ids=["both new", "the first one returns"])
def test_a_twin_in_the_same_experience_is_not_built_on(returns):
    """It would be averaged over, and learns on: its answers would move after they were chosen."""
    x, y = xor(400, 0, 2)
    far = xor(400, 7, 0)
    twin = data(x[:40], y[:40], 2)
    parts = [[data(*far, 0)], [data(x, y, 1), twin]]
    if returns:
        parts = [[data(*far, 0)], [data(x[:200], y[:200], 1)], [data(x, y, 1), twin]]
    decided = Decided(x)
    strategy = averaging(plugins=[decided])
    for experience in experiences(*parts):
        strategy.train(experience, eval_streams=[])
    network = strategy.model.network
    event = next(event for event in strategy.events if event["task"] == 2)
    assert event["kind"] == "ensemble", event["sentence"]
    assert set(network.reads(2)) <= {0}
    assert all(map(torch.equal, read_by(network.eval(), 2, x), decided.read[2]))


def test_one_after_the_other_the_twin_is_built_on():
    x, y = xor(400, 0, 2)
    strategy = averaging()
    parts = [[data(*xor(400, 7, 0), 0)], [data(x, y, 1)], [data(x[:40], y[:40], 2)]]
    for experience in experiences(*parts):
        strategy.train(experience, eval_streams=[])
    assert 1 in strategy.model.network.reads(2)


def test_what_learns_is_hidden_with_all_that_reads_it_and_comes_back():
    x, y = xor(400, 0, 2)
    strategy = averaging()
    parts = [[data(*xor(400, 7, 0), 0)], [data(x, y, 1)], [data(x[:40], y[:40], 2)]]
    for experience in experiences(*parts):
        strategy.train(experience, eval_streams=[])
    network = strategy.model.network
    heads, first_on = network.heads, dict(network.first_on)
    assert 1 in network.reads(2)
    (layer,) = network.moe_layers
    for parts in ({head_part(1)}, {expert_part(layer.name, layer.assigned[1][0])}):
        with without_learning(network, parts):
            assert set(network.tasks) == {0}
            assert set(network.first_on.values()) <= set(network.tasks)
        assert network.heads is heads
        assert network.first_on == first_on
    with without_learning(network, ()):
        assert network.tasks == [0, 1, 2]


@pytest.mark.parametrize("growth", GROWTHS)
def test_tasks_that_arrive_together_learn_in_any_strategy(growth):
    sets = [blobs(64, seed) for seed in range(4)]
    strategy = joint(Naive, growth)
    parts = [[data(*sets[0], 0), data(*sets[1], 1)], [data(*sets[2], 2), data(*sets[3], 3)]]
    for experience in experiences(*parts):
        strategy.train(experience, eval_streams=[])
    model = strategy.model.eval()
    with torch.no_grad():
        right = [(model(x, t).argmax(1) == y).float().mean() for t, (x, y) in enumerate(sets)]
    assert min(right[:2] if growth != "fixed" else right[2:]) > 0.85
