"""A proxy of an Avalanche evaluator that forwards only the hooks that are used."""

from __future__ import annotations

from typing import Any

from avalanche.core import BasePlugin, BaseSGDPlugin, SupervisedPlugin
from avalanche.evaluation import PluginMetric
from avalanche.evaluation.metric_definitions import GenericPluginMetric
from avalanche.training.plugins import EvaluationPlugin

__all__ = ("EvaluatorProxy",)

NOTHING_IS_DONE = {BasePlugin, BaseSGDPlugin, SupervisedPlugin, PluginMetric}
"""Base classes of Avalanche, whose hooks do nothing."""

BEFORE_A_BATCH = ("before_training_iteration", "before_eval_iteration")
"""Hooks at which Avalanche's metrics of single batches are reset."""


class EvaluatorProxy:
    """Replaces an evaluator among a strategy's plugins and forwards the hooks it acts on.

    An evaluator handles every hook, copies the experience for its metrics, and calls each of them:
    a tenth of the time of a small network's step, even if there is nothing to record.

    Args:
        evaluator: the evaluator, with its final metrics and loggers.

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
