"""One parabola is worth Avalanche's penalties, separate or online, and costs no more than one."""

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


class Online(SupervisedPlugin):
    """The documented recursion, written down as it stands, with the gradients of batch means."""

    def __init__(self, decay, batch_size):
        super().__init__()
        self.decay, self.batch_size = decay, batch_size
        self.importance, self.anchor, self.penalties = {}, {}, []

    def before_backward(self, strategy, **kwargs):
        if strategy.clock.train_exp_counter:
            now = shared_parameters(strategy.model)
            terms = [(self.importance[n] * (now[n] - a) ** 2).sum() for n, a in self.anchor.items()]
            ours = strategy.plugins[1].regularizer.penalty(now)
            self.penalties.append((ours.item(), STRENGTH * sum(terms).item()))

    def after_training_exp(self, strategy, **kwargs):
        now, data = shared_parameters(strategy.model), strategy.experience.dataset.eval()
        rows = [data[row] for row in range(len(data))]
        batches = [rows[i : i + self.batch_size] for i in range(0, len(rows), self.batch_size)]
        new = {name: torch.zeros_like(value) for name, value in now.items()}
        strategy.model.eval()
        for batch in batches:
            x, y = torch.stack([row[0] for row in batch]), torch.tensor([row[1] for row in batch])
            loss = torch.nn.functional.cross_entropy(strategy.model(x, batch[0][-1]), y)
            gradients = torch.autograd.grad(loss, list(now.values()))
            for name, gradient in zip(now, gradients, strict=True):
                new[name] += gradient.square() / len(batches)
        strategy.model.train()
        old = self.importance
        self.importance = {n: self.decay * old[n] + f if n in old else f for n, f in new.items()}
        self.anchor = {name: value.detach().clone() for name, value in now.items()}


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_with_a_head_a_task_decay_is_the_documented_recursion(context, decay):
    parameters = {"strength": STRENGTH, "decay": decay}
    strategy = build_method("ewc_avalanche", parameters, context).strategy
    online = Online(decay, context.training.batch_size)
    strategy.plugins.insert(0, online)
    train(strategy, context.stream)
    assert len(online.penalties) == 3 * 6 * 3
    assert max(ours for ours, _ in online.penalties) > 0
    for ours, expected in online.penalties:
        assert ours == pytest.approx(expected, rel=1e-4, abs=1e-9)


@pytest.mark.parametrize("decay", [0.0, 0.5, 1.0])
def test_with_a_shared_head_decay_is_avalanches_online_mode(context, conflicting, decay):
    network = context.network.model_copy(update={"heads": "shared"})
    context = replace(context, stream=conflicting, network=network)
    parameters = {"strength": STRENGTH, "decay": decay}
    ours = build_method("ewc_avalanche", parameters, context).strategy
    plugin = EWCPlugin(STRENGTH, mode="online", decay_factor=decay)
    theirs = sequential(context, plugins=[plugin]).strategy
    for strategy in (ours, theirs):
        train(strategy, conflicting)
    expected = dict(theirs.model.named_parameters())
    for name, value in ours.model.named_parameters():
        torch.testing.assert_close(value, expected[name], rtol=1e-4, atol=1e-5)


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


@pytest.mark.parametrize("parameters", [{}, {"decay": 0.5}], ids=str)
def test_what_is_held_does_not_grow_with_the_tasks(context, parameters):
    strategy = build_method("ewc_avalanche", parameters, context).strategy
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
