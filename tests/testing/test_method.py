"""Each check of methods catches one that is broken in that way."""

from __future__ import annotations

import itertools
from dataclasses import replace

import pytest
import torch

from cl_moe import catalog

dense = catalog.resolve("method", "dense")
counter = itertools.count(1)


def loose(context, strength: float = 1.0):
    return dense(context)


def nothing(context, /):
    return context


def idle(context, /):
    training = context.training.model_copy(update={"learning_rate": 1e-12})
    return dense(replace(context, training=training, seed=1))


def drifts(context, /):
    return dense(replace(context, seed=next(counter)))


def mutates(context, /):
    context.stream[0].tensors("train")[0].mul_(2)
    return dense(context)


def learns_from_tests(context, /):
    method = dense(context)
    evaluate = method.strategy.eval

    def moved(*args, **more):
        with torch.no_grad():
            next(method.strategy.model.parameters()).add_(1)
        return evaluate(*args, **more)

    method.strategy.eval = moved
    return method


def entangled(context, /):
    method = dense(context)
    method.strategy.model.__dict__["__deepcopy__"] = lambda memo: method.strategy.model
    type_ = type(method.strategy.model)
    method.strategy.model.__class__ = type(
        type_.__name__, (type_,), {"__deepcopy__": lambda self, memo: self}
    )
    return method


def forgetful(context, /):
    from avalanche.core import SupervisedPlugin

    from cl_moe.state import State
    from cl_moe.strategies.methods.base import sequential

    class Weighing(SupervisedPlugin):
        def __init__(self):
            self.weight = 1.0

        def before_backward(self, strategy, **_):
            strategy.loss = strategy.loss * self.weight

        def after_training_exp(self, strategy, **_):
            self.weight /= 2

        def state(self):
            return State()

        def restore(self, state):
            pass

    return sequential(replace_optimizer(context), plugins=lambda: [Weighing()])


def replace_optimizer(context):
    training = context.training.model_copy(update={"optimizer": "sgd"})
    return replace(context, training=training)


def two_tasks(context, /):
    context.stream[1]
    return dense(context)


def rich(context, /):
    assert min(task.n_train for task in context.stream) > 2, "few rows"
    return dense(context)


def vectors(context, /):
    (_,) = context.stream.shape
    return dense(context)


def classes(context, /):
    context.stream[0].classes[1]
    return dense(context)


BROKEN = {
    "parameters are keywords": (loose, "strength: put parameters behind a *"),
    "gives a method": (nothing, "it gives MethodContext; give a"),
    "learns every task": (idle, "on the task learned last"),
    "same seed same result": (drifts, "of its model differs between two runs of one seed"),
    "inputs untouched": (mutates, "the stream's training data are changed"),
    "evaluation changes nothing": (learns_from_tests, "of its model changes in evaluation"),
    "a copy learns apart": (entangled, "changes when a copy of the strategy learns"),
    "state round trips": (forgetful, "return all that later tasks depend on in state()"),
    "one task": (two_tasks, ""),
    "one row": (rich, "few rows"),
    "images with convolutions": (vectors, "too many values to unpack"),
    "tasks without classes": (classes, "regression raises IndexError"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_check_catches(name, catches):
    catches("method", BROKEN, name)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_strategy_of_avalanches_own_is_held_to_them():
    from avalanche.training import Naive

    from cl_moe.testing import check_part, kind_of

    assert kind_of(Naive, "avalanche.training:Naive") == "method"
    results = {result.check: result.outcome for result in check_part("method", Naive)}
    assert results["learns every task"] == "passed"
    assert results["defaults"] == results["gives a method"] == "not applicable"
