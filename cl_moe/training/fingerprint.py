"""Hashes that show whether a strategy's predictions for a task may have changed."""

from __future__ import annotations

from hashlib import blake2b
from typing import Any

from avalanche.core import SupervisedPlugin
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.plugins.clock import Clock
from torch import nn

from cl_moe.moe.freezing import kinds_of
from cl_moe.moe.offload import module_digest, tensor_digest
from cl_moe.training.evaluator import EvaluatorProxy

__all__ = ("Fingerprints",)

HOOKS = [name for name in dir(SupervisedPlugin) if "_eval" in name]
"""Hooks of plugins in evaluation."""


class Fingerprints:
    """Fingerprints of a strategy's tasks: hashes of all that their predictions depend on.

    Values are hashed (not torch's version counters, which ignore writes through ``.data``), and
    each module is read once, however many tasks share it. It is fast compared with evaluation: a
    parameter is read once, not once per row.

    There is no fingerprint where predictions may depend on more than the network: on a strategy,
    network or module that is neither cl_moe's nor torch's, or on a plugin that acts in evaluation.

    Args:
        strategy: any Avalanche ``SupervisedTemplate``; must not change while the fingerprints are
            used.

    >>> from cl_moe.strategies.task_aware import TaskAwareMoE
    >>> strategy = TaskAwareMoE(shape=(4,))
    >>> network = strategy.model.network
    >>> network.add_task(0, [["e0"]], network.new_head(0, n_outputs=2))
    >>> before = Fingerprints(strategy).of(0)
    >>> len(before), before == Fingerprints(strategy).of(0)
    (32, True)
    >>> network.heads["0"].bias.data[0] += 1
    >>> before == Fingerprints(strategy).of(0)
    False
    """

    def __init__(self, strategy: Any) -> None:
        self._network = strategy.model.network if _is_known(strategy) else None
        self._digests: dict[nn.Module, bytes] = {}

    def of(self, task: int) -> bytes | None:
        """Return the fingerprint of a known task; None where there is none."""
        parts = None if self._network is None else self._network.depends_on(task)
        if parts is None:
            return None
        found = blake2b(digest_size=32)
        for part in parts:
            found.update(self._module(part) if isinstance(part, nn.Module) else tensor_digest(part))
        return found.digest()

    def _module(self, module: nn.Module) -> bytes:
        if module not in self._digests:
            self._digests[module] = module_digest(module)
        return self._digests[module]


def _is_known(strategy: Any) -> bool:
    """Tell whether a network's predictions depend on its tensors only."""
    parts = [strategy, strategy.model, getattr(strategy.model, "network", None)]
    kinds = kinds_of(strategy.model)
    return (
        all(_root_of(type(part)) == "cl_moe" for part in parts)
        and {_root_of(kind) for kind in kinds} <= {"cl_moe", "torch"}
        and not any(_acts(plugin) for plugin in strategy.plugins)
    )


def _root_of(kind: type) -> str:
    return kind.__module__.split(".")[0]


def _acts(plugin: Any) -> bool:
    """Tell whether a plugin acts in evaluation; counting batches does not matter."""
    if isinstance(plugin, EvaluatorProxy):
        plugin = plugin.evaluator
    if isinstance(plugin, EvaluationPlugin):
        return bool(plugin.metrics)
    if type(plugin) is Clock:
        return False
    idle = [getattr(SupervisedPlugin, hook) for hook in HOOKS]
    own = [getattr(type(plugin), hook, None) for hook in HOOKS]
    return any(o is not None and o is not i for o, i in zip(own, idle, strict=True))
