"""The plugin adds the penalty to the loss, on what is shared, and consolidates on the task."""

from __future__ import annotations

import torch

from cl_moe.continual.regularizers.base import Regularizer
from cl_moe.state import State
from cl_moe.strategies.methods.base import sequential
from cl_moe.training.regularization import RegularizationPlugin, shared_parameters


class Spy(Regularizer):
    """Pulls every parameter to zero, and notes what it is asked."""

    def __init__(self, strength):
        self.strength, self.ended, self.names = strength, [], set()

    def state(self):
        return State()

    def restore(self, state):
        pass

    def penalty(self, parameters):
        self.names |= set(parameters)
        return self.strength * sum(p.square().sum() for p in parameters.values())

    def consolidate(self, parameters, log_likelihood, x_NX, y_N):
        log_p = log_likelihood(parameters, x_NX)
        assert torch.allclose(log_p.exp().sum(-1), torch.ones(len(x_NX)))
        halved = {name: p / 2 for name, p in parameters.items()}
        assert not torch.equal(log_p, log_likelihood(halved, x_NX))
        self.ended.append((x_NX, y_N))


def trained(context, strength):
    spy = Spy(strength)
    strategy = sequential(context, plugins=[RegularizationPlugin(spy)]).strategy
    for experience in list(context.stream.to_benchmark().train_stream)[:2]:
        strategy.train(experience, eval_streams=[])
    return strategy, spy


def test_the_penalty_pulls_the_trunk_and_not_the_heads(context):
    free, _ = trained(context, 0.0)
    held, spy = trained(context, 10.0)
    assert spy.names == set(shared_parameters(held.model))
    assert all(name.startswith("trunk.") for name in spy.names)

    def norm(strategy):
        return sum(p.square().sum() for p in strategy.model.network.trunk.parameters())

    assert norm(held) < norm(free) / 4


def test_every_task_is_consolidated_on_its_own_training_data(context):
    _, spy = trained(context, 0.0)
    assert len(spy.ended) == 2
    for task, (x, y) in zip(context.stream, spy.ended, strict=False):
        expected_x, expected_y = task.tensors("train")
        assert torch.equal(x, expected_x)
        assert torch.equal(y, expected_y)
