"""A task label that comes back, with the classes it had or with more."""

from __future__ import annotations

import pytest
import torch
from avalanche.benchmarks import dataset_benchmark
from avalanche.benchmarks.utils import (
    ConstantSequence,
    DataAttribute,
    TaskAwareSupervisedClassificationDataset,
    TaskLabels,
)
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin
from torch import nn
from torch.utils.data import TensorDataset

from cl_moe import NetworkSpec, TaskAwareMoE, TrainingSpec, build_moe
from cl_moe.continual.growth.reuse_or_grow import ReuseOrGrow
from cl_moe.continual.view import TaskView
from cl_moe.moe.blocks import Block
from cl_moe.moe.heads.ensemble import EnsembleHead
from cl_moe.training.plugin import MoEPlugin, decides_again

DIM = 8
GROWTHS = ["reuse_or_grow", "per_task", "fixed", "mntdp"]


def rows(n: int, classes: int, seed: int = 0):
    draw, y = torch.Generator().manual_seed(seed), torch.arange(n) % classes
    x = torch.randn(n, DIM, generator=draw)
    x[torch.arange(n), y] += 3.0
    return x, y


def experience(x, y, task: int):
    attributes = [
        DataAttribute(y.tolist(), "targets"),
        TaskLabels(ConstantSequence(task, len(y))),
    ]
    return TaskAwareSupervisedClassificationDataset(
        [TensorDataset(x, y)], data_attributes=attributes
    )


def learned(growth: str, *parts):
    sets = [experience(*part) for part in parts]
    torch.manual_seed(0)
    strategy = TaskAwareMoE(
        shape=(DIM,),
        network=NetworkSpec(hidden=[12]),
        training=TrainingSpec(epochs=3, min_steps=200, learning_rate=0.01),
        growth=growth,
    )
    for part in dataset_benchmark(sets, sets).train_stream:
        strategy.train(part, eval_streams=[])
    strategy.model.eval()
    return strategy


def accuracy(strategy, x, y, task: int) -> float:
    return float((strategy.model(x, task).argmax(1) == y).double().mean())


@pytest.mark.parametrize("growth", GROWTHS)
def test_a_task_that_comes_back_with_a_class_more_learns_it_and_leaves_others_alone(growth):
    two, three = rows(200, 2), rows(300, 3, seed=1)
    few = (two[0][:24], two[1][:24])
    strategy = learned(growth, (*two, 0), (*few, 1), (*three, 1))
    assert accuracy(strategy, *three, 1) > 0.93
    assert accuracy(strategy, *two, 0) > 0.93
    assert [event["task"] for event in strategy.events] == [0, 1, 1]
    again = strategy.events[2]["kind"]  # what was averaged is decided on anew; an expert learns on
    assert (again != "return") == (growth == "reuse_or_grow")


def test_a_replaced_head_joins_the_parameter_groups_of_the_other_heads():
    """Avalanche by itself takes its bias for the old one, and puts it among the weights."""
    two = rows(200, 2)
    few = (two[0][:24], two[1][:24])
    parts = [(*two, 0), (*few, 1), (*rows(300, 2, seed=2), 2), (*rows(300, 3, seed=1), 1)]
    sets = [experience(*part) for part in parts]
    model = build_moe(NetworkSpec(hidden=[12]), (DIM,), seed=0)
    plugin = MoEPlugin(ReuseOrGrow(grow_from=250))
    groups: list[dict[str, list[nn.Parameter]]] = [{"params": []}, {"params": []}]
    for name, parameter in model.named_parameters():
        groups[name.endswith("bias")]["params"].append(parameter)
    strategy = Naive(
        model=model,
        optimizer=torch.optim.SGD(groups, lr=0.1),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=16,
        plugins=[plugin],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    for part in dataset_benchmark(sets, sets).train_stream:
        strategy.train(part, eval_streams=[])
    assert [event["kind"] for event in plugin.events][1::2] == ["ensemble", "fresh"]
    head = model.network.heads["1"]
    weights, biases = (group["params"] for group in strategy.optimizer.param_groups)
    assert [p.dim() for p in head.parameters()] == [2, 1]
    assert {*map(id, head.parameters())} & {*map(id, weights)} == {id(head.weight)}
    assert {*map(id, head.parameters())} & {*map(id, biases)} == {id(head.bias)}


def test_where_old_classes_are_missing_the_head_is_widened_and_learns_on():
    two = rows(200, 2)
    x, y = rows(300, 3, seed=1)
    new = y == 2
    few = (two[0][:24], two[1][:24])
    strategy = learned("reuse_or_grow", (*two, 0), (*few, 1), (x[new], y[new], 1))
    assert strategy.events[1]["kind"] == "ensemble"
    assert strategy.events[2]["kind"] == "return"
    assert strategy.model(x, 1).shape == (300, 3)
    assert accuracy(strategy, x[new], y[new], 1) > 0.9


def test_a_task_that_another_one_is_answered_through_is_not_decided_on_again():
    two, (x, y) = rows(200, 2), rows(300, 3, seed=1)
    network = learned("reuse_or_grow", (*two, 0), (two[0][:24], two[1][:24], 1)).model.network
    view = TaskView(1, "t1", x, y, 3, 1, 1, torch.optim.SGD)
    assert not network.owns_path(1)
    assert decides_again(view, network)
    answers = Block(1, "predictions")
    network.add_task(2, [], EnsembleHead({answers: torch.eye(2)}, torch.zeros(2), {1: 1.0}))
    assert not decides_again(view, network)
