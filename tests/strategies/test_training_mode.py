"""Training passes are in training mode, whatever mode a plugin leaves the model in."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from avalanche.core import SupervisedPlugin
from torch import nn

from cl_moe import catalog
from cl_moe.strategies.methods.base import build_method
from cl_moe.streams.spec import NetworkSpec

FILE = Path(__file__)
TRUNKS = FILE.with_name("trunks.py")
COMPUTED = ["nearest_mean", "ridge"]
CANNOT_BE_WIDENED = ["dense_wide"]  # the trunk is a function
METHODS = [name for name in catalog.names("method") if name not in COMPUTED + CANNOT_BE_WIDENED] + [
    "avalanche.training:Naive",
    "avalanche.training:LwF",
]
HOOKS = [
    "before_training",
    "before_training_exp",
    "before_training_epoch",
    "before_training_iteration",
    "before_forward",
    "after_training_iteration",
]


class Modes(SupervisedPlugin):
    """Notes the mode of the trunk at each backward pass; may leave the model in evaluation mode."""

    def __init__(self, hook=None):
        super().__init__()
        self.seen = []
        if hook is not None:
            setattr(self, hook, lambda strategy, **kwargs: strategy.model.eval())

    def after_forward(self, strategy, **kwargs):
        self.seen.append(any(module.training for module in drops(strategy.model)))


def drops(model):
    return [module for module in model.modules() if isinstance(module, nn.Dropout)]


def modes_of(context, name, hook=None, **parameters):
    context = replace(
        context,
        network=NetworkSpec(kind=f"{TRUNKS}:dropout"),
        training=context.training.model_copy(update={"epochs": 2}),
    )
    built, modes = build_method(name, parameters, context), Modes(hook)
    built.strategy.plugins.insert(0, modes)
    experiences = list(context.stream.to_benchmark().train_stream)[:2]
    for experience in [experiences] if built.joint else experiences:
        built.strategy.train(experience, eval_streams=[])
    return modes.seen


@pytest.mark.parametrize("name", METHODS)
def test_every_pass_of_every_method(name, context):
    parameters = {"alpha": 1.0, "temperature": 2.0} if name.endswith("LwF") else {}
    seen = modes_of(context, name, **parameters)
    assert len(seen) >= 6
    assert all(seen)


@pytest.mark.parametrize("hook", HOOKS)
@pytest.mark.parametrize("name", ["dense", "moe", "avalanche.training:Naive"])
def test_a_plugin_that_leaves_the_model_in_evaluation_mode(name, hook, context):
    seen = modes_of(context, name, hook)
    assert len(seen) >= 6
    assert all(seen)


def test_rwalk_leaves_the_model_as_it_was(context):
    class Recorder(SupervisedPlugin):
        modes: list[bool] = []  # noqa: RUF012 - one strategy

        def before_training_iteration(self, strategy, **kwargs):
            self.modes.append(strategy.model.training)

    strategy = build_method("rwalk", {}, context).strategy
    strategy.plugins.insert(1, Recorder())
    strategy.train(context.stream.to_benchmark().train_stream[0], eval_streams=[])
    assert Recorder.modes
    assert all(Recorder.modes)


def test_rwalk_counts_batch_norms_rows(context):
    """The running statistics are those of the rows, not the ones that the network starts with."""
    context = replace(context, network=NetworkSpec(kind=f"{TRUNKS}:batch_norm"))
    strategy = build_method("rwalk", {}, context).strategy
    for experience in list(context.stream.to_benchmark().train_stream)[:3]:
        strategy.train(experience, eval_streams=[])
        assert math.isfinite(sum(p.abs().sum().item() for p in strategy.model.parameters()))
    (norm,) = (m for m in strategy.model.modules() if isinstance(m, nn.BatchNorm1d))
    assert int(norm.num_batches_tracked) == 3 * 18


@pytest.mark.parametrize("trunk", ["dropout", "batch_norm", "both"])
def test_the_teacher_of_lwf_gives_one_answer(trunk, context):
    context = replace(context, network=NetworkSpec(kind=f"{TRUNKS}:{trunk}"))
    strategy, answers = build_method("lwf", {}, context).strategy, []
    x = context.stream[0].tensors("train")[0]

    class Ask(SupervisedPlugin):
        def after_training_iteration(self, strategy, **kwargs):
            teacher = strategy.plugins[1].lwf.prev_model
            if teacher is not None and strategy.clock.train_exp_counter == 1:
                answers.append(teacher(x, 0).detach())

    strategy.plugins.insert(0, Ask())
    for experience in list(context.stream.to_benchmark().train_stream)[:2]:
        strategy.train(experience, eval_streams=[])
    assert len(answers) == 18
    assert all(torch.equal(answers[0], answer) for answer in answers)
