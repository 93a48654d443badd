"""An Avalanche evaluator that is told only of what its metrics and loggers listen to."""

from __future__ import annotations

from typing import Any

from avalanche.core import BasePlugin, BaseSGDPlugin, SupervisedPlugin
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_definitions import GenericPluginMetric
from avalanche.training.plugins import EvaluationPlugin

__all__ = ("EvaluatorProxy",)

NOTHING_IS_DONE = {BasePlugin, BaseSGDPlugin, SupervisedPlugin, PluginMetric}
"""Classes of Avalanche whose hooks are there to be overridden."""

BEFORE_A_BATCH = ("before_training_iteration", "before_eval_iteration")
"""Hooks at which Avalanche's own metrics begin anew, if they are metrics of single batches."""


class EvaluatorProxy:
    """Stands for an evaluator among a strategy's plugins and passes on the hooks it acts on.

    An evaluator takes every hook, copies the experience for its metrics, and asks each of them: a
    tenth of the time of a small network's step, even if it has nothing to record.

    Args:
        evaluator: with the metrics and loggers it is to have.

    >>> from avalanche.evaluation.metrics import accuracy_metrics
    >>> from avalanche.logging import BaseLogger
    >>> accuracy = accuracy_metrics(epoch=True)
    >>> proxy = EvaluatorProxy(EvaluationPlugin(accuracy, loggers=[BaseLogger()]))
    >>> hasattr(proxy, "after_training_iteration"), hasattr(proxy, "after_forward")
    (True, False)
    """

    supports_distributed = True

    def __init__(self, evaluator: EvaluationPlugin) -> None:
        self.evaluator = evaluator
        parts = [*evaluator.metrics, *evaluator.loggers]
        self.hooks = {"before_eval"}  # where an evaluator checks the stream
        self.hooks |= {
            hook
            for hook in dir(SupervisedPlugin)
            if hook.startswith(("before_", "after_")) and any(_acts(part, hook) for part in parts)
        }

    def __getattr__(self, name: str) -> Any:
        if name.startswith(("before_", "after_")) and name in self.hooks:
            return getattr(self.evaluator, name)
        raise AttributeError(name)


def _acts(part: Any, hook: str) -> bool:
    owner = next((kind for kind in type(part).__mro__ if hook in vars(kind)), None)
    if owner is GenericPluginMetric and hook in BEFORE_A_BATCH:
        return part._reset_at == "iteration"
    return hasattr(part, hook) if owner is None else owner not in NOTHING_IS_DONE
