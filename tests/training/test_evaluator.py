"""An evaluator behind a listener records what it would record in front of it."""

from __future__ import annotations

import copy

import torch
from avalanche.evaluation.metrics import accuracy_metrics, loss_metrics
from avalanche.logging import BaseLogger
from avalanche.training.plugins import EvaluationPlugin, SupervisedPlugin

from cl_moe.strategies.methods.base import sequential
from cl_moe.strategies.networks import build_dense
from cl_moe.training.evaluator import EvaluatorProxy
from cl_moe.training.strategy import Strategy


class Steps(BaseLogger, SupervisedPlugin):
    """A logger that counts steps, and takes down what it is given."""

    def __init__(self):
        super().__init__()
        self.steps, self.values = 0, []

    def after_training_iteration(self, strategy, metric_values, **kwargs):
        self.steps += 1

    def log_single_metric(self, name, value, x_plot):
        self.values.append((name, value, x_plot))


def recorded(context, listening):
    torch.manual_seed(0)
    logger = Steps()
    accuracy = accuracy_metrics(minibatch=True, epoch=True, experience=True, stream=True)
    evaluator = EvaluationPlugin(accuracy, loss_metrics(epoch=True), loggers=[logger])
    model = build_dense(context)
    strategy = Strategy(model=model, training=context.training, evaluator=evaluator)
    if not listening:
        place = next(i for i, p in enumerate(strategy.plugins) if isinstance(p, EvaluatorProxy))
        strategy.plugins[place] = evaluator
    benchmark = context.stream.to_benchmark()
    for task in range(2):
        strategy.train(benchmark.train_stream[task], eval_streams=[])
        strategy.eval(benchmark.test_stream[: task + 1])
    return logger, evaluator.get_last_metrics()


def test_metrics_and_loggers_are_told_what_they_act_on(context):
    (plain, last), (heard, same) = recorded(context, False), recorded(context, True)
    assert plain.values == heard.values
    assert last == same
    assert plain.steps == heard.steps == 2 * 6 * 3


def test_a_silent_evaluator_hears_of_nothing_in_a_step(context):
    strategy = sequential(context).strategy
    (proxy,) = (p for p in strategy.plugins if isinstance(p, EvaluatorProxy))
    assert proxy.hooks == {"before_eval"}


def test_a_copy_listens_for_the_copy(context):
    strategy = copy.deepcopy(sequential(context).strategy)
    (proxy,) = (p for p in strategy.plugins if isinstance(p, EvaluatorProxy))
    assert proxy.evaluator is strategy.evaluator
