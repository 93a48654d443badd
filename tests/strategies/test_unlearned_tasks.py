"""Avalanche's usual loops evaluate tasks before they are learned: by chance, changing nothing."""

from __future__ import annotations

import math
import warnings
from dataclasses import replace

import pytest
import torch
from avalanche.benchmarks import dataset_benchmark
from avalanche.benchmarks.utils import (
    ConstantSequence,
    DataAttribute,
    TaskAwareSupervisedClassificationDataset,
    TaskLabels,
)
from avalanche.evaluation.metrics import accuracy_metrics
from avalanche.training import JointTraining, Naive
from avalanche.training.plugins import EarlyStoppingPlugin, EvaluationPlugin
from avalanche.training.templates.base_sgd import PeriodicEval
from torch import nn

from cl_moe import catalog
from cl_moe.errors import InputError
from cl_moe.runs.randomness import isolated, seed_all
from cl_moe.strategies.methods.base import build_method
from cl_moe.strategies.networks import build_moe
from cl_moe.streams.spec import NetworkSpec
from cl_moe.training.evaluation import evaluate
from cl_moe.training.evaluator import EvaluatorProxy
from cl_moe.training.plugin import MoEPlugin

METHODS = [(name, {}) for name in catalog.names("method")]
METHODS += [("moe", {"growth": growth}) for growth in ("fixed", "mntdp", "per_task")]
METHODS += [("ewc_avalanche", {"decay": 0.5})]
GROWTHS = ["reuse_or_grow", "per_task", "fixed", "mntdp"]


def silent():
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return EvaluationPlugin(accuracy_metrics(stream=True, experience=True), loggers=[])


def naive(growth="reuse_or_grow", kind=Naive, plugins=(), **options):
    model = build_moe(NetworkSpec(hidden=[8]), shape=(6,), seed=0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return kind(
            model=model,
            optimizer=torch.optim.Adam(model.parameters()),
            criterion=nn.CrossEntropyLoss(),
            train_mb_size=8,
            eval_mb_size=7,
            plugins=[MoEPlugin(growth), *plugins],
            evaluator=silent(),
            **options,
        )


def state(strategy):
    return {
        name: value.clone()
        for name, value in strategy.model.state_dict().items()
        if isinstance(value, torch.Tensor)
    }


def learned(context, method, parameters, whole):
    """Learn the stream, and evaluate all of it after each task where ``whole``."""
    benchmark = context.stream.to_benchmark()
    with isolated(threads=1):
        seed_all(0)
        built = build_method(method, parameters, context)
        strategy = built.strategy
        train = list(benchmark.train_stream)[:3]
        for task, experience in enumerate([train] if built.joint else train):
            seed_all(task)
            strategy.train(experience, eval_streams=[])
            if whole:
                before = state(strategy)
                strategy.eval(benchmark.test_stream)
                assert state(strategy).keys() == before.keys()
                assert all(torch.equal(v, before[k]) for k, v in state(strategy).items())
                known = [t for t in range(4) if strategy.model.knows(t)]
                found = evaluate(strategy, benchmark.test_stream)
                assert [evaluation.task for evaluation in found] == known
    return strategy


@pytest.mark.parametrize(("method", "parameters"), METHODS, ids=str)
def test_evaluating_the_whole_stream_after_each_task_changes_no_method(context, method, parameters):
    with_evaluation = state(learned(context, method, parameters, whole=True))
    without = state(learned(context, method, parameters, whole=False))
    assert with_evaluation.keys() == without.keys()
    assert all(torch.equal(value, without[name]) for name, value in with_evaluation.items())


@pytest.mark.parametrize(("method", "parameters"), METHODS, ids=str)
@pytest.mark.parametrize("every", [0, 1])
@pytest.mark.parametrize("mode", ["epoch", "iteration"])
def test_every_method_is_evaluated_while_it_learns(context, method, parameters, every, mode):
    benchmark = context.stream.to_benchmark()
    training = context.training.model_copy(update={"epochs": 2})
    built = build_method(method, parameters, replace(context, training=training))
    built.strategy.plugins.insert(-1, PeriodicEval(every, mode))
    train = list(benchmark.train_stream)[:2]
    for experience in [train] if built.joint else train:
        built.strategy.train(experience, eval_streams=[benchmark.test_stream])


@pytest.mark.parametrize("growth", GROWTHS)
@pytest.mark.parametrize("options", [{"eval_every": 0}, {"eval_every": 1}], ids=str)
def test_the_plugin_in_a_strategy_of_avalanche_is_evaluated_while_it_learns(
    stream, growth, options
):
    benchmark, strategy = stream.to_benchmark(), naive(growth, train_epochs=2, **options)
    for experience in list(benchmark.train_stream)[:3]:
        strategy.train(experience, eval_streams=[benchmark.test_stream])
        strategy.eval(benchmark.test_stream)
    assert strategy.model.network.tasks == [0, 1, 2]


@pytest.mark.parametrize("growth", GROWTHS)
def test_early_stopping_watches_a_stream_with_unlearned_tasks(stream, growth):
    benchmark = stream.to_benchmark()
    stop = EarlyStoppingPlugin(patience=2, val_stream_name="test_stream")
    strategy = naive(growth, plugins=[stop], train_epochs=4, eval_every=1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for experience in list(benchmark.train_stream)[:3]:
            strategy.train(experience, eval_streams=[benchmark.test_stream])
    assert strategy.model.network.tasks == [0, 1, 2]


@pytest.mark.parametrize("method", ["single_task", "dense", "packnet", "progressive"])
def test_early_stopping_restores_the_best_state_of_our_methods(context, method):
    """Of packnet it may be from before the task had its weights, which it gets then."""
    benchmark = context.stream.to_benchmark()
    training = context.training.model_copy(update={"learning_rate": 1e-9, "epochs": 20})
    strategy = build_method(method, {}, replace(context, training=training)).strategy
    strategy.evaluator.metrics += accuracy_metrics(stream=True)
    (place,) = (i for i, p in enumerate(strategy.plugins) if isinstance(p, EvaluatorProxy))
    strategy.plugins[place] = EvaluatorProxy(strategy.evaluator)
    strategy.plugins.insert(0, EarlyStoppingPlugin(patience=2, val_stream_name="test_stream"))
    strategy.plugins.insert(-1, PeriodicEval(1))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for experience in list(benchmark.train_stream)[:3]:
            strategy.train(experience, eval_streams=[benchmark.test_stream])
            assert strategy.clock.train_exp_epochs < 20
    assert strategy.model.network.tasks == [0, 1, 2]
    assert getattr(strategy.model.network, "packed", True)


def test_unlearned_tasks_are_answered_by_chance_over_their_classes(context):
    strategy = build_method("dense", {}, context).strategy
    benchmark = context.stream.to_benchmark()
    strategy.train(benchmark.train_stream[0], eval_streams=[])
    strategy.eval(benchmark.test_stream[1:2])
    assert strategy.model.eval()(torch.rand(5, 6), 1).tolist() == [[0.0] * 3] * 5
    seen = []
    strategy.plugins.insert(0, Loss(seen))
    strategy.eval(benchmark.test_stream[1:3])
    assert seen == [pytest.approx(math.log(3)), pytest.approx(math.log(2))]


class Loss:
    """Notes the loss of the last batch of every experience."""

    supports_distributed = True

    def __init__(self, seen):
        self.seen = seen

    def after_eval_exp(self, strategy, **kwargs):
        self.seen.append(strategy.loss.item())


def test_a_learned_task_whose_test_set_has_a_further_class_never_gives_it(stream):
    strategy = naive()
    strategy.train(stream.to_benchmark().train_stream[0], eval_streams=[])
    model, x = strategy.model, stream[0].tensors("train")[0][:5]
    narrow = model.eval()(x, 0)
    strategy.eval(labelled(x, torch.arange(5) % 3, task=0))
    wide = model.eval()(x, 0)
    assert torch.equal(wide[:, :2], narrow)
    assert wide[:, 2].max() < -1000
    assert model.network.heads["0"].bias.shape == (2,)


def labelled(x, y, task):
    """Return an Avalanche stream of one experience."""
    attributes = [
        DataAttribute(y.tolist(), "targets"),
        TaskLabels(ConstantSequence(task, len(y))),
    ]
    made = TaskAwareSupervisedClassificationDataset(
        [torch.utils.data.TensorDataset(x, y)], data_attributes=attributes
    )
    return dataset_benchmark([made], [made]).test_stream


@pytest.mark.parametrize("kind", [Naive, JointTraining])
def test_an_unknown_task_is_refused_where_nobody_evaluates_it(stream, kind):
    strategy = naive(kind=kind)
    strategy.train(stream.to_benchmark().train_stream[0], eval_streams=[])
    for training in (True, False):
        strategy.model.train(training)
        with pytest.raises(InputError, match=r"task 2: has not been learned; .* are 0"):
            strategy.model(torch.rand(5, 6), 2)
