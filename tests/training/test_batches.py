"""With tensors behind them, Avalanche's strategies do the same as without, bit for bit."""

from __future__ import annotations

import pytest
import torch
from avalanche.benchmarks import dataset_benchmark
from avalanche.benchmarks.utils import TransformGroups
from avalanche.benchmarks.utils.transform_groups import DefaultTransformGroups
from avalanche.logging import BaseLogger
from avalanche.models import MultiHeadClassifier, MultiTaskModule
from avalanche.training import Naive
from avalanche.training.plugins import EvaluationPlugin, EWCPlugin, ReplayPlugin, SupervisedPlugin
from torch import nn
from torch.utils.data import DataLoader, TensorDataset

from cl_moe import TensorBatches
from cl_moe.runs.randomness import isolated, seed_all
from cl_moe.strategies.methods.base import sequential
from cl_moe.training.loader import SampleLoader, TensorLoader, from_tensors


class QuickNaive(TensorBatches, Naive):
    """Naive with batches from tensors."""


class Net(MultiTaskModule):
    """Draws random numbers in every step, so that a draw too many is seen."""

    def __init__(self):
        super().__init__()
        self.trunk = nn.Sequential(nn.Linear(6, 8), nn.ReLU(), nn.Dropout(0.5))
        self.head = MultiHeadClassifier(8, 3, masking=False)

    def forward(self, x, task_labels):
        return self.head(self.trunk(x), task_labels)


class Seen(SupervisedPlugin):
    """Keeps the batches and the kinds of loaders that a strategy works with."""

    def __init__(self):
        super().__init__()
        self.batches, self.loaders = [], set()

    def after_training_iteration(self, strategy, *args, **kwargs):
        self.batches.append([part.clone() for part in strategy.mbatch])
        self.loaders.add(type(strategy.dataloader))

    def after_eval_iteration(self, strategy, *args, **kwargs):
        self.after_training_iteration(strategy)


def learned(kind, experiences, plugins=(), tests=(), **options):
    """Return what a strategy of a kind has seen, and its parameters."""
    with isolated(threads=1):
        seed_all(0)
        model, seen = Net(), Seen()
        strategy = kind(
            model=model,
            optimizer=torch.optim.SGD(model.parameters(), lr=0.1),
            train_mb_size=7,
            eval_mb_size=9,
            train_epochs=2,
            plugins=[*plugins, seen],
            evaluator=EvaluationPlugin(loggers=[BaseLogger()]),
        )
        for experience in experiences:
            strategy.train(experience, eval_streams=[list(tests)] if tests else [], **options)
            if tests:
                strategy.eval(tests)
    return seen, dict(model.state_dict())


def as_experience(data):
    return dataset_benchmark([data], [data]).train_stream[0]


def assert_same(plain, quick):
    (seen, state), (quick_seen, quick_state) = plain, quick
    assert len(seen.batches) == len(quick_seen.batches)
    for batch, other in zip(seen.batches, quick_seen.batches, strict=True):
        assert len(batch) == len(other)
        for part, same in zip(batch, other, strict=True):
            assert part.dtype == same.dtype
            assert torch.equal(part, same)
    assert state.keys() == quick_state.keys()
    assert all(torch.equal(state[name], quick_state[name]) for name in state)


@pytest.mark.parametrize(
    "plugins",
    [
        list,
        lambda: [EWCPlugin(10.0)],
        lambda: [ReplayPlugin(mem_size=11)],
        lambda: [ReplayPlugin(mem_size=11, batch_size_mem=6, task_balanced_dataloader=True)],
    ],
    ids=["plain", "ewc", "replay", "balanced replay"],
)
def test_batches_and_parameters_are_those_of_avalanche(stream, plugins):
    benchmark = stream.to_benchmark()
    experiences = list(benchmark.train_stream)[:3]
    tests = list(benchmark.test_stream)[:1]
    plain = learned(Naive, experiences, plugins(), tests)
    quick = learned(QuickNaive, experiences, plugins(), tests)
    assert TensorLoader not in plain[0].loaders
    assert quick[0].loaders == {TensorLoader}
    assert_same(plain, quick)


def test_replays_batches_are_half_memory(stream):
    experiences = list(stream.to_benchmark().train_stream)[:2]
    seen, _ = learned(QuickNaive, experiences, [ReplayPlugin(mem_size=11)])
    joint = seen.batches[len(seen.batches) // 2 :]
    assert joint[0][-1].tolist() == [1] * 7 + [0] * 7


def test_replay_in_our_own_strategy_takes_tensors_too(context):
    seen = Seen()
    strategy = sequential(context, plugins=[ReplayPlugin(mem_size=11), seen]).strategy
    for experience in list(context.stream.to_benchmark().train_stream)[:2]:
        strategy.train(experience, eval_streams=[])
    assert seen.loaders == {TensorLoader}
    assert len(seen.batches[-1][0]) == 16


def test_a_data_set_of_several_tasks_is_balanced_as_avalanche_balances_it(stream):
    first, second, *_ = stream.to_benchmark().train_stream
    experience = as_experience(first.dataset.concat(second.dataset.subset(range(10))))
    plain, quick = learned(Naive, [experience]), learned(QuickNaive, [experience])
    assert quick[0].loaders == {TensorLoader}
    assert len(set(quick[0].batches[0][2].tolist())) == 2
    assert_same(plain, quick)


@pytest.mark.parametrize("options", [{"shuffle": False}, {"drop_last": True}], ids=str)
def test_options_of_the_loader_hold(stream, options):
    experiences = list(stream.to_benchmark().train_stream)[:1]
    plain = learned(Naive, experiences, **options)
    quick = learned(QuickNaive, experiences, **options)
    assert quick[0].loaders == {TensorLoader}
    assert_same(plain, quick)


@pytest.mark.parametrize(
    "groups",
    [
        TransformGroups({"train": lambda x: x + torch.rand(())}),
        DefaultTransformGroups(lambda x: x + torch.rand(())),
    ],
    ids=["train", "every"],
)
def test_samples_that_a_transform_makes_are_fetched(stream, groups):
    experience = stream.to_benchmark().train_stream[0]
    data = type(experience.dataset)([experience.dataset], transform_groups=groups)
    experience = as_experience(data.subset(range(20)))
    plain, quick = learned(Naive, [experience]), learned(QuickNaive, [experience])
    assert quick[0].loaders == {SampleLoader}
    assert_same(plain, quick)


def test_a_plain_loader_gives_the_same_batches(stream):
    data = stream.to_benchmark().train_stream[0].dataset
    loader = DataLoader(data, batch_size=5, shuffle=True)
    quick = from_tensors(loader)
    assert isinstance(quick, TensorLoader)
    assert len(quick) == len(loader) == 5
    with isolated(threads=1):
        seed_all(1)
        plain = list(loader)
        seed_all(1)
        for batch, other in zip(plain, quick, strict=True):
            assert all(map(torch.equal, batch, other))


def test_loaders_that_ask_for_more_are_left_alone(stream):
    data = stream.to_benchmark().train_stream[0].dataset
    for loader in (
        DataLoader(data, batch_size=5, collate_fn=list),
        DataLoader(data, batch_size=5, num_workers=1),
        DataLoader(data, batch_size=None),
        DataLoader(TensorDataset(torch.rand(3, 2))),
        [],
    ):
        assert from_tensors(loader) is loader
