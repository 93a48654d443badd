"""Evaluation counts right, says nothing of unknown tasks, and leaves no trace."""

from __future__ import annotations

import random

import numpy as np
import pytest
import torch
from torch.nn import functional as F

from cl_moe import catalog
from cl_moe.training.evaluation import Evaluation, evaluate


def everything(strategy):
    """Return all that evaluation might move: tensors, modes, plugins, optimizer, generators."""
    tensors = {**dict(strategy.model.named_parameters()), **dict(strategy.model.named_buffers())}
    moments = [
        value.clone()
        for values in strategy.optimizer.state.values()
        for value in values.values()
        if isinstance(value, torch.Tensor)
    ]
    return {
        "tensors": {name: tensor.detach().clone() for name, tensor in tensors.items()},
        "moments": moments,
        "modes": [module.training for module in strategy.model.modules()],
        "trainable": [p.requires_grad for p in strategy.model.parameters()],
        "plugins": list(strategy.plugins),
        "held": [[id(p) for p in group["params"]] for group in strategy.optimizer.param_groups],
        "torch": torch.get_rng_state(),
        "numpy": np.random.get_state()[1],  # noqa: NPY002 - the global state is what is watched
        "python": random.getstate(),
    }


def same(one, two):
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(same(one[key], two[key]) for key in one)
    if isinstance(one, (list, tuple)):
        return len(one) == len(two) and all(same(a, b) for a, b in zip(one, two, strict=True))
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, np.ndarray):
        return np.array_equal(one, two)
    return one is two or one == two


@pytest.mark.parametrize("name", [*catalog.names("method"), "avalanche.training:Naive"])
def test_changes_nothing(name, context, learn):
    strategy = learn(context, name, tasks=2).strategy
    before = everything(strategy)
    found = evaluate(strategy, context.stream.to_benchmark().test_stream)
    assert [evaluation.task for evaluation in found] == [0, 1]
    assert same(everything(strategy), before)


def test_counts_equal_those_by_hand(context, learn):
    strategy = learn(context, "dense").strategy
    strategy.eval_mb_size = 7  # batches of unequal size: a mean of means would be wrong
    found = evaluate(strategy, context.stream.to_benchmark().test_stream)
    strategy.model.eval()
    for position, evaluation in enumerate(found):
        x, y = context.stream[position].tensors("test")
        logits = strategy.model(x, position).detach()
        accuracy = (logits.argmax(1) == y).double().mean().item()
        loss = F.cross_entropy(logits, y).item()
        assert evaluation == Evaluation(
            task=position,
            accuracy=pytest.approx(accuracy),
            loss=pytest.approx(loss, rel=1e-5),
            n=len(y),
        )


def test_training_goes_on_as_if_nothing_had_been_evaluated(context, learn):
    """Evaluating between tasks must not change what is learned."""
    plain = learn(context, "replay").strategy.model.state_dict()
    # the same once more, with an evaluation after every epoch
    from avalanche.training.plugins import SupervisedPlugin

    from cl_moe.runs.randomness import isolated, seed_all
    from cl_moe.strategies.methods.base import build_method

    benchmark = context.stream.to_benchmark()

    class Recorder(SupervisedPlugin):
        def after_training_epoch(self, strategy, *args, **kwargs):
            evaluate(strategy, benchmark.test_stream)

    with isolated(threads=1):
        seed_all(context.seed)
        strategy = build_method("replay", {}, context).strategy
        strategy.plugins.insert(0, Recorder())
        for experience in list(benchmark.train_stream)[:3]:
            strategy.train(experience, eval_streams=[])
    watched = strategy.model.state_dict()
    assert all(torch.equal(plain[name], watched[name]) for name in plain)


def test_a_strategy_that_knows_no_task_gives_nothing(context):
    from cl_moe.strategies.methods.base import build_method

    strategy = build_method("dense", {}, context).strategy
    assert evaluate(strategy, context.stream.to_benchmark().test_stream) == []
