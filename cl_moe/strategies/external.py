"""Any Avalanche strategy as a method, with the same training budget as the others."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from avalanche.logging import BaseLogger
from avalanche.training import JointTraining
from avalanche.training.plugins import EvaluationPlugin, SupervisedPlugin
from avalanche.training.templates import SupervisedTemplate

from cl_moe import catalog
from cl_moe.errors import InputError, did_you_mean
from cl_moe.moe.normalisation import needs_two
from cl_moe.strategies.context import Method, MethodContext
from cl_moe.strategies.networks import build_dense
from cl_moe.streams.spec import TrainingSpec
from cl_moe.training.batches import pair_rows
from cl_moe.training.criterion import TaskCriterion
from cl_moe.training.optimizer import make_optimizer
from cl_moe.training.strategy import epochs_for

__all__ = ("BudgetPlugin", "build_external")


class BudgetPlugin(SupervisedPlugin):
    """Applies the common training budget to a strategy that is not built on our template.

    It sets the epochs, avoids batches of one row where the model needs two, and trains in training
    mode whatever mode a plugin left the model in.

    Args:
        training: the budget.
    """

    def __init__(self, training: TrainingSpec) -> None:
        super().__init__()
        self.training = training

    def after_train_dataset_adaptation(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Set the number of epochs for the adapted data set."""
        self.before_forward(strategy)
        rows = len(strategy.adapted_dataset)
        strategy.train_epochs = epochs_for(rows, self.training, lambda: needs_two(strategy.model))

    def before_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Avoid batches of one row, where the model needs two."""
        pair_rows(strategy)

    def before_forward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Put the model into training mode, whatever mode a plugin left it in."""
        if not strategy.model.training:
            strategy.model.train()


def build_external(
    target: type, parameters: Mapping[str, Any], context: MethodContext, place: str
) -> Method:
    """Return an Avalanche strategy as a method.

    It trains the dense network of ``dense``. Of model, optimizer, criterion, batch sizes, epochs,
    device, plugins and evaluator, the strategy gets those in its signature; the other arguments are
    the parameters, which are checked against the signature.

    Raises:
        InputError: not a strategy, or parameters that do not fit; all problems at once.
    """
    if not issubclass(target, SupervisedTemplate):
        raise InputError(
            f"{place}: '{target.__name__}' is not an Avalanche strategy; give a subclass of "
            "avalanche.training.templates.SupervisedTemplate"
        )
    signature = _signature(target)
    supplied = {name: value for name, value in _given(context).items() if name in signature}
    problems = []
    for name in parameters:
        if name in supplied:
            problems.append(f"{place}.{name}: is set by [network] and [training]; remove it")
        elif name not in signature:
            own = set(signature) - set(supplied)
            problems.append(f"{place}.{name}: no such parameter; {did_you_mean(name, own)}")
    taken = {n: v for n, v in parameters.items() if n in signature and n not in supplied}
    if problems:
        raise InputError(problems + catalog.check_parameters(target, {**supplied, **taken}, place))
    strategy = catalog.build(target, {**supplied, **taken}, place)
    return Method(strategy, joint=issubclass(target, JointTraining))


def _signature(target: type) -> set[str]:
    """Return the parameter names of a constructor, with those that it passes on to its bases."""
    found: set[str] = set()
    for base in target.__mro__:
        parameters = inspect.signature(base).parameters if base is not object else {}
        found |= {name for name, p in parameters.items() if p.kind is not p.VAR_KEYWORD}
        if all(p.kind is not p.VAR_KEYWORD for p in parameters.values()):
            break
    return found


def _given(context: MethodContext) -> dict[str, Any]:
    """Return the arguments that the study gives to every strategy, by Avalanche's names."""
    training, model = context.training, build_dense(context)
    return {
        "model": model,
        "optimizer": make_optimizer(training, model.parameters()),
        "criterion": TaskCriterion(model),
        "train_mb_size": training.batch_size,
        "train_epochs": training.epochs,
        "eval_mb_size": training.eval_batch_size,
        "device": context.device,
        "plugins": [BudgetPlugin(training)],
        "evaluator": EvaluationPlugin(loggers=[BaseLogger()]),
        "eval_every": -1,
        "peval_mode": "epoch",
    }
