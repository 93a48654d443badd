"""One parabola is worth Avalanche's separate penalties, one a task, and costs no more than one."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from avalanche.training.plugins import EWCPlugin, SupervisedPlugin

from cl_moe.runs.randomness import isolated, seed_all
from cl_moe.strategies.methods.base import build_method, sequential
from cl_moe.training.regularization import shared_parameters

STRENGTH = 300.0


class Compare(SupervisedPlugin):
    """In each step, asks Avalanche's plugin and ours for their penalty at the same parameters."""

    def __init__(self, ours, theirs):
        super().__init__()
        self.ours, self.theirs = ours, theirs
        self.differences, self.penalties = [], []

    def before_backward(self, strategy, **kwargs):
        if strategy.clock.train_exp_counter == 0:
            return
        loss, found = strategy.loss, []
        parameters = list(shared_parameters(strategy.model).values())
        for plugin in (self.ours, self.theirs):
            strategy.loss = torch.zeros(1)
            plugin.before_backward(strategy)
            gradient = torch.autograd.grad(strategy.loss, parameters)
            found.append((strategy.loss.item(), torch.cat([g.flatten() for g in gradient])))
        strategy.loss = loss
        (ours, our_gradient), (theirs, their_gradient) = found
        self.penalties.append((ours, theirs))
        size = self._size(strategy.model).norm() + 1e-12
        self.differences.append(((our_gradient - their_gradient).norm() / size).item())

    def _size(self, model):
        """Return how large the terms are that a weight's gradient is the sum of."""
        names = [f"network.{name}" for name in shared_parameters(model)]
        now = dict(model.named_parameters())
        terms = [
            torch.cat([(f[n].data * (now[n] - p[n].data)).abs().flatten() for n in names])
            for f, p in zip(
                self.theirs.importances.values(), self.theirs.saved_params.values(), strict=True
            )
        ]
        return 2 * STRENGTH * sum(terms)

    def after_training_exp(self, strategy, **kwargs):
        self.theirs.after_training_exp(strategy)


def train(strategy, stream):
    with isolated(threads=1):
        for task, experience in enumerate(stream.to_benchmark().train_stream):
            seed_all(task)  # as runs do: Avalanche draws a number when it consolidates
            strategy.train(experience, eval_streams=[])


def test_penalty_and_gradient_are_those_of_avalanches_separate_mode(context):
    strategy = build_method("ewc_avalanche", {"strength": STRENGTH}, context).strategy
    compare = Compare(strategy.plugins[0], EWCPlugin(STRENGTH, mode="separate"))
    strategy.plugins.insert(1, compare)
    train(strategy, context.stream)
    assert len(compare.differences) == 3 * 6 * 3
    assert max(compare.differences) < 1e-6
    for ours, theirs in compare.penalties:
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(("heads", "optimizer"), [("task", "sgd"), ("shared", "adam")])
def test_a_stream_ends_with_the_same_parameters(context, conflicting, heads, optimizer):
    """Of shared parameters that is true with any optimizer: heads of old tasks do not move here."""
    network = context.network.model_copy(update={"heads": heads})
    training = context.training.model_copy(update={"optimizer": optimizer})
    context = replace(context, stream=conflicting, network=network, training=training)
    ours = build_method("ewc_avalanche", {"strength": STRENGTH}, context).strategy
    theirs = sequential(context, plugins=[EWCPlugin(STRENGTH)]).strategy
    free = sequential(context).strategy
    for strategy in (ours, theirs, free):
        train(strategy, conflicting)
    ends = [dict(strategy.model.named_parameters()) for strategy in (ours, theirs, free)]
    for name, expected in ends[1].items():
        torch.testing.assert_close(ends[0][name], expected, rtol=1e-4, atol=1e-5)
    assert any(not torch.allclose(ends[2][name], ends[1][name], atol=1e-2) for name in ends[1])


def test_what_is_held_does_not_grow_with_the_tasks(context):
    strategy = build_method("ewc_avalanche", {}, context).strategy
    held = []
    for task, experience in enumerate(context.stream.to_benchmark().train_stream):
        seed_all(task)
        strategy.train(experience, eval_streams=[])
        kept = vars(strategy.plugins[0].regularizer).values()
        held.append(sum(t.numel() for d in kept if isinstance(d, dict) for t in d.values()))
    assert (
        held[0]
        == held[-1]
        == 3 * sum(p.numel() for p in shared_parameters(strategy.model).values())
    )
