"""Batch normalisation cannot train on one row: none is left alone, and none is lost."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from avalanche.core import SupervisedPlugin
from avalanche.training import JointTraining, Naive
from avalanche.training.plugins import EvaluationPlugin, ReplayPlugin
from torch import nn

import cl_moe
from cl_moe import catalog
from cl_moe.errors import InputError
from cl_moe.strategies.methods.base import build_method
from cl_moe.strategies.networks import build_dense
from cl_moe.strategies.task_aware import TaskAwareMoE
from cl_moe.streams.spec import NetworkSpec, TrainingSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task
from cl_moe.training.plugin import MoEPlugin

TRUNKS = Path(__file__).with_name("trunks.py")
COMPUTED = ["nearest_mean", "ridge"]
METHODS = [
    *((name, {}) for name in catalog.names("method") if name not in [*COMPUTED, "dense_wide"]),
    ("agem", {"memory_per_task": 33, "sample": 32}),
    ("agem", {"memory_per_task": 1, "sample": 32}),
    ("agem", {"memory_per_task": 9, "sample": 4}),
    ("ewc_avalanche", {"decay": 0.5}),
    ("replay", {"memory": 1}),
    ("avalanche.training:Naive", {}),
    ("avalanche.training:Replay", {"mem_size": 7}),
    ("avalanche.training:JointTraining", {}),
]


def stream_of(*rows, shape=(6,)):
    draw = torch.Generator().manual_seed(0)

    def data(n, classes):
        y = torch.arange(n) % classes
        return torch.randn(n, *shape, generator=draw) + y.view(-1, *[1] * len(shape)), y

    return TaskStream(
        [
            Task(f"t{k}", data(n, min(n, 2)), data(9, min(n, 2)), "ab"[:n])
            for k, n in enumerate(rows)
        ]
    )


def context_of(context, stream, trunk="batch_norm", **training):
    return replace(
        context,
        stream=stream,
        network=NetworkSpec(kind=f"{TRUNKS}:{trunk}"),
        training=TrainingSpec(**{"epochs": 2, "min_steps": 0, "eval_batch_size": 8, **training}),
    )


class Seen(SupervisedPlugin):
    """Counts how often each row of the current experience is trained on."""

    def __init__(self):
        super().__init__()
        self.rows, self.sizes = Counter(), []

    def before_training_iteration(self, strategy, **kwargs):
        own = strategy.mb_x[strategy.mb_task_id == strategy.experience.task_label]
        self.rows.update(round(row.sum().item(), 4) for row in own)
        self.sizes.append(len(strategy.mb_x))


def learn(method, parameters, context, *plugins):
    built = build_method(method, parameters, context)
    built.strategy.plugins[:0] = plugins
    benchmark = context.stream.to_benchmark()
    train = list(benchmark.train_stream)
    for experience in [train] if built.joint else train:
        built.strategy.train(experience, eval_streams=[])
    built.strategy.eval(benchmark.test_stream)
    return built.strategy


@pytest.mark.parametrize(("method", "parameters"), METHODS, ids=str)
def test_33_rows_in_batches_of_32(method, parameters, context):
    learn(method, parameters, context_of(context, stream_of(33, 65, 33)))


@pytest.mark.parametrize("method", ["dense", "avalanche.training:Naive", "packnet"])
def test_no_row_is_lost_and_none_is_alone(method, context):
    seen = Seen()
    learn(method, {}, context_of(context, stream_of(33, 65, 9, 2), batch_size=8), seen)
    assert set(seen.rows.values()) == {2}
    assert sum(seen.rows.values()) == 2 * (33 + 65 + 9 + 2)
    assert min(seen.sizes) >= 2


def test_a_network_without_batch_normalisation_has_the_batches_it_had(context):
    seen = Seen()
    learn("dense", {}, context_of(context, stream_of(33, 65), "dropout", batch_size=8), seen)
    assert seen.sizes == [8, 8, 8, 8, 1] * 2 + [*[8] * 8, 1] * 2


def test_a_small_task_takes_its_steps_though_batches_are_fewer(context):
    context = context_of(context, stream_of(33), min_steps=60)
    for method in ("dense", "avalanche.training:Naive", "moe"):
        strategy = learn(method, {}, context)
        assert strategy.clock.train_exp_iterations == 60
    assert learn("joint", {}, context).clock.train_exp_iterations == 60


@pytest.mark.parametrize(
    ("kind", "plugins"),
    [(Naive, list), (Naive, lambda: [ReplayPlugin(mem_size=7)]), (JointTraining, list)],
    ids=["naive", "replay", "joint"],
)
@pytest.mark.parametrize("growth", ["per_task", "fixed"])
def test_the_plugin_in_a_strategy_of_avalanche(kind, plugins, growth, context):
    context = context_of(context, stream_of(33, 33))
    model = cl_moe.build_moe(context.network, shape=(6,), seed=0)
    strategy = kind(
        model=model,
        optimizer=torch.optim.Adam(model.parameters()),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=16,
        plugins=[MoEPlugin(growth), *plugins()],
        evaluator=EvaluationPlugin(loggers=[]),
    )
    train = context.stream.to_benchmark().train_stream
    for experience in [train] if kind is JointTraining else train:
        strategy.train(experience, eval_streams=[])


def test_one_row_of_a_memory_is_asked_with_the_next(context):
    strategy = learn("agem", {"memory_per_task": 9, "sample": 8}, context_of(context, stream_of(9)))
    sizes = [len(strategy.plugins[0].sample_from_memory()[0]) for _ in range(4)]
    assert sizes == [8, 9, 9, 9] or min(sizes) >= 2


@pytest.mark.parametrize("method", ["dense", "moe", "single_task", "progressive", "joint"])
def test_a_batch_of_one_row_is_refused_before_anything_runs(method, context):
    with pytest.raises(InputError, match=r"^training\.batch_size: 1, but .* give 2 or more$"):
        build_method(method, {}, context_of(context, stream_of(33, 33), batch_size=1))


@pytest.mark.parametrize("method", ["dense", "moe", "single_task", "avalanche.training:Naive"])
def test_a_task_of_one_row_is_refused_before_anything_runs(method, context):
    with pytest.raises(InputError, match=r"^tasks with one training row: 't1', 't3', but"):
        build_method(method, {}, context_of(context, stream_of(33, 1, 2, 1)))


def test_all_problems_of_a_study_are_said_once():
    network = {"kind": f"{TRUNKS}:batch_norm"}
    methods, training = ["dense", "single_task", "ridge"], {"batch_size": 1, "epochs": 1}
    with pytest.raises(InputError) as raised:
        cl_moe.run(
            stream_of(33, 1), methods=methods, network=network, training=training, progress=False
        )
    assert [problem.split(":")[0] for problem in raised.value.problems] == [
        "training.batch_size",
        "tasks with one training row",
    ]


@pytest.mark.parametrize("method", [*COMPUTED, "joint"])
def test_what_learns_one_row_without_harm_is_not_refused(method, context):
    learn(method, {}, context_of(context, stream_of(33, 1)))


@pytest.mark.parametrize("method", ["dense", "single_task", "joint"])
def test_one_image_has_many_pixels(method, context):
    stream = stream_of(5, 1, shape=(1, 4, 4))
    learn(method, {}, context_of(context, stream, "batch_norm_2d", batch_size=1))


def test_a_strategy_of_ones_own_is_told_what_is_wrong():
    network = NetworkSpec(kind=f"{TRUNKS}:batch_norm")
    strategy = TaskAwareMoE(shape=(6,), network=network, training=TrainingSpec(min_steps=0))
    with pytest.raises(InputError, match=r"training on 1 row in batches of 32: .* 2 rows or more"):
        strategy.train(stream_of(1).to_benchmark().train_stream[0], eval_streams=[])


def test_another_error_is_passed_on(context):
    class Fails(SupervisedPlugin):
        def before_forward(self, strategy, **kwargs):
            raise ValueError("mine")

    strategy = build_method("dense", {}, context).strategy
    strategy.plugins.insert(0, Fails())
    with pytest.raises(ValueError, match="mine"):
        strategy.train(context.stream.to_benchmark().train_stream[0], eval_streams=[])


def test_dense_trunks_are_asked_once_for_all_tasks(context):
    """A batch of two rows of two tasks is a batch of two rows."""
    model = build_dense(context_of(context, stream_of(33)))
    for task in (0, 1):
        model.network.add_task(task, 2)
    assert model.train()(torch.rand(2, 6), torch.tensor([0, 1])).shape == (2, 2)
