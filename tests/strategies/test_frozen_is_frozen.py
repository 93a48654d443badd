"""What cannot forget keeps parameters, buffers and mode of a task's part while others learn."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch
from avalanche.core import SupervisedPlugin
from torch import nn

from cl_moe.runs.randomness import isolated, seed_all
from cl_moe.strategies.methods.base import build_method
from cl_moe.streams.spec import NetworkSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task

NEVER_FORGET = ["single_task", "packnet", "progressive", "nearest_mean", "ridge"]
TRUNKS = Path(__file__).with_name("trunks.py")


class Probe(SupervisedPlugin):
    """Asks for the first task's answers before and after each task, and in the midst of it."""

    def __init__(self, x):
        super().__init__()
        self.x, self.answers = x, []

    def ask(self, strategy):
        if strategy.model.knows(0) and strategy.clock.train_exp_counter:
            modes = [(module, module.training) for module in strategy.model.modules()]
            strategy.model.eval()
            with torch.no_grad():
                self.answers.append(strategy.model(self.x, 0))
            for module, training in modes:
                module.training = training

    def before_training_exp(self, strategy, **kwargs):
        self.ask(strategy)

    def after_training_iteration(self, strategy, **kwargs):
        self.ask(strategy)

    def after_training_exp(self, strategy, **kwargs):
        self.ask(strategy)


def shifted(position):
    """A task whose inputs lie elsewhere than the others': running statistics are its own."""
    draw = torch.Generator().manual_seed(position)
    y = torch.arange(48) % 2
    x = torch.randn(48, 6, generator=draw) + 3.0 * position
    x[:, position] += 4.0 * y
    return Task(f"task{position}", (x[:32], y[:32]), (x[32:], y[32:]), "ab")


@pytest.fixture
def shifted_stream():
    return TaskStream([shifted(position) for position in range(3)])


@pytest.mark.parametrize("trunk", ["batch_norm", "dropout", "both"])
@pytest.mark.parametrize("name", NEVER_FORGET)
def test_the_first_tasks_answers_stay_the_same_bit_for_bit(name, trunk, context, shifted_stream):
    context = replace(context, stream=shifted_stream, network=NetworkSpec(kind=f"{TRUNKS}:{trunk}"))
    benchmark, probe = shifted_stream.to_benchmark(), Probe(shifted_stream[0].tensors("test")[0])
    with isolated(threads=1):
        seed_all(0)
        strategy = build_method(name, {}, context).strategy
        strategy.plugins.insert(0, probe)
        for experience in benchmark.train_stream:
            strategy.train(experience, eval_streams=[])
            strategy.eval(benchmark.test_stream)
    assert len(probe.answers) >= 4
    assert all(torch.equal(probe.answers[0], answer) for answer in probe.answers)


@pytest.mark.parametrize("name", ["single_task", "progressive"])
def test_finished_parts_are_in_evaluation_mode_while_another_task_learns(
    name, context, shifted_stream
):
    class Modes(SupervisedPlugin):
        def __init__(self):
            super().__init__()
            self.seen = []

        def after_training_iteration(self, strategy, **kwargs):
            drops = [m for m in strategy.model.modules() if isinstance(m, nn.Dropout)]
            self.seen.append([drop.training for drop in drops])

    modes = Modes()
    context = replace(context, stream=shifted_stream, network=NetworkSpec(kind=f"{TRUNKS}:dropout"))
    strategy = build_method(name, {}, context).strategy
    strategy.plugins.insert(0, modes)
    for experience in shifted_stream.to_benchmark().train_stream:
        strategy.train(experience, eval_streams=[])
    assert modes.seen[0] == [True]
    assert modes.seen[-1] == [False, False, True]


def test_a_packed_networks_fingerprint_is_of_its_own_statistics(context, shifted_stream):
    """Rows of a finished task are not evaluated again: nothing they depend on has changed."""
    from cl_moe.training.fingerprint import Fingerprints

    context = replace(
        context, stream=shifted_stream, network=NetworkSpec(kind=f"{TRUNKS}:batch_norm")
    )
    strategy = build_method("packnet", {}, context).strategy
    found = []
    for experience in shifted_stream.to_benchmark().train_stream:
        strategy.train(experience, eval_streams=[])
        found.append(Fingerprints(strategy).of(0))
    assert found[0] is not None
    assert found[0] == found[1] == found[2]


def test_a_finished_packed_task_answers_the_same_in_training_mode(context, shifted_stream):
    """Another plugin may ask it for answers while a later task learns."""
    context = replace(context, stream=shifted_stream, network=NetworkSpec(kind=f"{TRUNKS}:both"))
    strategy = build_method("packnet", {}, context).strategy
    for experience in shifted_stream.to_benchmark().train_stream:
        strategy.train(experience, eval_streams=[])
    model, x = strategy.model, shifted_stream[0].tensors("test")[0]
    answers = model.eval()(x, 0), model.train()(x, 0)
    assert torch.equal(*answers)
    assert all(module.training for module in model.network.trunk.modules())
