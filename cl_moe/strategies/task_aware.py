"""A complete strategy: a task-aware mixture of experts in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from avalanche.training.plugins import EvaluationPlugin

from cl_moe.arguments import checked
from cl_moe.continual.growth.base import GrowthPolicy, make_growth
from cl_moe.errors import InputError
from cl_moe.strategies.networks import MOST_EXPERTS, build_moe
from cl_moe.streams.spec import NetworkSpec, TrainingSpec
from cl_moe.training.model import TaskModel
from cl_moe.training.plugin import MoEPlugin
from cl_moe.training.strategy import Strategy

__all__ = ("TaskAwareMoE",)


class TaskAwareMoE(Strategy):
    """An Avalanche strategy whose model grows experts as tasks arrive.

    Args:
        shape: shape of one input, without the batch, for a network made here.
        model: a model from :func:`~cl_moe.mixture`, :func:`~cl_moe.build_moe` or
            :func:`~cl_moe.load`, in place of ``shape``, ``network``, ``gate`` and ``experts``.
        network: the trunk of the experts; a small perceptron by default.
        training: optimizer and training budget.
        gate: a gate's name.
        gate_options: the gate's parameters.
        growth: a growth policy, or its name.
        growth_options: the policy's parameters, where a name is given.
        experts: initial number of experts per layer.
        names: names of the tasks by label, for the log.
        plugins: further Avalanche plugins (EWC, replay, LwF, ...).
        seed: seed of initial parameters and decisions.
        device: where to train.
        evaluator: an Avalanche evaluation plugin; None for a silent one.

    >>> import torch
    >>> from cl_moe.streams.stream import TaskStream
    >>> from cl_moe.streams.task import Task
    >>> x, y = torch.rand(40, 8), torch.arange(40) % 2
    >>> stream = TaskStream([Task(name, (x, y), (x, y), ("a", "b")) for name in ("one", "two")])
    >>> strategy = TaskAwareMoE(shape=(8,), names=["one", "two"])
    >>> for experience in stream.to_benchmark().train_stream:
    ...     _ = strategy.train(experience, eval_streams=[])
    >>> [event["task"] for event in strategy.events]
    [0, 1]
    """

    @checked({"shape": (1, 2**26), "experts": (0, MOST_EXPERTS)})
    def __init__(
        self,
        *,
        shape: Sequence[int] | None = None,
        model: TaskModel | None = None,
        network: NetworkSpec | None = None,
        training: TrainingSpec | None = None,
        gate: str = "task",
        gate_options: Mapping[str, Any] | None = None,
        growth: GrowthPolicy | str = "reuse_or_grow",
        growth_options: Mapping[str, Any] | None = None,
        experts: int = 1,
        names: Sequence[str] = (),
        plugins: Sequence[SupervisedPlugin] = (),
        seed: int = 0,
        device: str = "cpu",
        evaluator: EvaluationPlugin | None = None,
    ) -> None:
        if (model is None) == (shape is None):
            raise InputError("TaskAwareMoE: give either shape (a network is made) or model")
        try:
            torch.device(device)
        except RuntimeError as error:
            raise InputError(
                f"device: '{device}' is not a torch device; give cpu or cuda"
            ) from error
        if model is None:
            assert shape is not None
            spec = network or NetworkSpec()
            model = build_moe(spec, tuple(shape), seed, gate, gate_options, experts)
        policy = make_growth(growth, growth_options) if isinstance(growth, str) else growth
        self.moe = MoEPlugin(policy, names, seed)
        super().__init__(
            model=model,
            training=training or TrainingSpec(),
            plugins=[self.moe, *plugins],
            device=device,
            evaluator=evaluator,
        )

    @property
    def events(self) -> list[dict[str, Any]]:
        """The log of decisions, see :class:`~cl_moe.training.plugin.MoEPlugin`."""
        return self.moe.events
