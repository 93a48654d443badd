"""The plugin that lets a mixture of experts grow inside any Avalanche strategy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn

from cl_moe.continual.events import candidates_of, sentence
from cl_moe.continual.growth.base import GrowthDecision, GrowthPolicy, make_growth
from cl_moe.continual.view import TaskView
from cl_moe.errors import InputError
from cl_moe.moe.freezing import set_mode
from cl_moe.moe.network import MoENetwork
from cl_moe.training.model import TaskModel, classes_by_task
from cl_moe.training.optimizer import clone_optimizer, sync_optimizer
from cl_moe.training.protection import Protection
from cl_moe.training.strategy import Strategy, epochs_for
from cl_moe.training.tensors import tensors_of

__all__ = ("MoEPlugin",)

USAGE_ROWS = 512
"""Training rows that a task's use of experts is measured on."""


class MoEPlugin(SupervisedPlugin):
    """Grows, freezes and protects experts as tasks arrive, and keeps a log of why.

    Works inside any ``SupervisedTemplate`` whose model is a :class:`TaskModel` over a
    :class:`~cl_moe.moe.network.MoENetwork`, beside Avalanche's own plugins. For each new task the
    growth policy is shown the task's training data and returns a decision, which is applied before
    Avalanche adapts the model, so that the optimizer learns of new parameters.

    Args:
        growth: the policy, or its name.
        names: names of the tasks by label, for the log.
        seed: where the decisions' random numbers are derived from.

    Attributes:
        events: one record a decision, plain and JSON-able: ``task``, ``name``, ``kind``,
            ``sentence``, ``source``, ``path``, ``new_experts``, ``retrained``, ``candidates``,
            ``experts``, ``steps`` (of deciding), ``learned`` (those of them that were kept),
            ``seconds`` (on the CPU, without those that ``learned`` took), and, when the task has
            ended, ``usage`` (layer by layer, the share of each expert) and, after a reassignment,
            ``agreement`` (share of the new inputs that earlier tasks still answer as before).
    """

    def __init__(
        self,
        growth: GrowthPolicy | str = "relatedness",
        names: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.growth = growth if isinstance(growth, GrowthPolicy) else make_growth(growth)
        self.names, self.seed = dict(enumerate(names)), seed
        self.events: list[dict[str, Any]] = []
        self.protection = Protection(self.growth, seed)
        self._open: list[int] = []
        self._learns = True
        self._learned = 0

    # Hooks of Avalanche, in the order in which they are called.

    def before_train_dataset_adaptation(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Decide how the tasks of the experience are answered, and apply it."""
        self._close(strategy)
        network = _network(strategy)
        learned: list[int] = []  # steps that each task has behind it, of those that learn on
        for task, n_classes in classes_by_task(strategy.experience.dataset).items():
            self._open.append(task)
            if str(task) in network.heads:
                self._return(task, network)
                learned.append(0)
                continue
            view = self._view(strategy, task, n_classes)
            start = time.process_time()
            decision = self.growth.decide(view, network)
            seconds = time.process_time() - start - decision.learned_seconds
            self._apply(decision, view, network, seconds)
            learned += [decision.learned] if decision.train else []
        self._learns, self._learned = bool(learned), min(learned, default=0)

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Leave the optimizer with exactly the trainable parameters."""
        sync_optimizer(strategy.optimizer, strategy.model)

    def before_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """End the training of a task that has learned all it was to learn.

        What a trial has taught the experts is not taught again: the task's training is shorter by
        as many whole epochs.
        """
        steps = len(strategy.dataloader)
        done = strategy.clock.train_exp_epochs + self._learned // steps
        if not self._learns or (self._learned and done >= strategy.train_epochs):
            strategy.stop_training()

    def before_backward(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Add the gates' auxiliary losses and the protection of earlier tasks."""
        auxiliary, strategy.model.auxiliary = strategy.model.auxiliary, {}
        for loss in auxiliary.values():
            strategy.loss = strategy.loss + loss
        if self.protection.retrained:
            penalty = self.protection.penalty(_network(strategy), strategy.mb_x)
            strategy.loss = strategy.loss + penalty

    def after_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Measure how the tasks use the experts, and what a reassignment changed."""
        network = _network(strategy)
        set_mode(network, False)
        for task in self._open:
            x, y = _rows(strategy, task)
            event = next(e for e in reversed(self.events) if e["task"] == task)
            event["usage"] = network.usage(x[:USAGE_ROWS], task)
            agreement = self.protection.end_task(network, task, x, y)
            if agreement:
                event["agreement"] = {self._name(t): share for t, share in agreement.items()}
        set_mode(network, True)

    def after_training(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Freeze what the last tasks trained, once every plugin has seen their end."""
        self._close(strategy)

    # What the hooks are made of.

    def _view(self, strategy: Any, task: int, n_classes: int) -> TaskView:
        x, y = _rows(strategy, task)
        epochs, batch = strategy.train_epochs, strategy.train_mb_size
        if isinstance(strategy, Strategy):
            epochs = epochs_for(len(y), strategy.training)
        return TaskView(
            task=task,
            name=self._name(task),
            x=x,
            y=y,
            n_classes=n_classes,
            steps=epochs * -(-len(y) // batch),
            batch_size=batch,
            make_optimizer=lambda parameters: clone_optimizer(strategy.optimizer, parameters),
            seed=self.seed,
            names=self.names,
        )

    def _apply(
        self, decision: GrowthDecision, view: TaskView, network: MoENetwork, seconds: float
    ) -> None:
        self.protection.start(network, decision)
        path: list[list[str]] = []
        new: list[list[int | str]] = []
        for depth, experts in enumerate(decision.path):
            layer = network.moe_layers[depth]
            used = {id_ for taken in layer.assigned.values() for id_ in taken}
            ids = [e if isinstance(e, str) else layer.add(e.to(view.x.device)) for e in experts]
            new += [[depth, id_] for id_ in ids if id_ not in used]
            path.append(ids)
        for depth, id_ in decision.retrain:
            network.moe_layers[depth].pool.unfreeze(id_)
        network.add_task(view.task, path, decision.head.to(view.x.device))
        self._log(
            view.task,
            network,
            kind=decision.kind,
            sentence=sentence(decision, view),
            source=None if decision.source is None else view.name_of(decision.source),
            new_experts=new,
            retrained=[list(place) for place in decision.retrain],
            candidates=candidates_of(decision, view),
            steps=decision.steps,
            learned=decision.learned,
            seconds=seconds,
        )

    def _return(self, task: int, network: MoENetwork) -> None:
        """A task label comes back: its head learns on, and so do experts that it alone uses."""
        network.heads.reopen(str(task))
        if network.owns_path(task) and self.growth.freezes:
            for layer in network.moe_layers:
                others = {i for t, e in layer.assigned.items() if t != task for i in e}
                for id_ in set(layer.assigned[task]) - others:
                    layer.pool.unfreeze(id_)
        name = self._name(task)
        done = f"task {task} '{name}' returned and learns on"
        self._log(task, network, kind="return", sentence=done, source=name)

    def _log(self, task: int, network: MoENetwork, **what: Any) -> None:
        """Keep a record of what was done for a task, and of the experts as they are then."""
        self.events.append(
            {
                "task": task,
                "name": self._name(task),
                "path": [list(e) for e in network.path(task)] if network.owns_path(task) else [],
                "new_experts": [],
                "retrained": [],
                "candidates": [],
                "experts": sum(len(layer.pool) for layer in network.moe_layers),
                "steps": 0,
                "learned": 0,
                "seconds": 0.0,
                **what,
            }
        )

    def _close(self, strategy: Any) -> None:
        """Freeze what belongs to the tasks that ended; a second call does nothing."""
        network = _network(strategy)
        for task in self._open:
            network.heads.close(str(task))
            for layer in network.moe_layers if network.owns_path(task) else []:
                for parameter in layer.gate.task_parameters(task):
                    _freeze(parameter)
                for id_ in layer.assigned[task] if self.growth.freezes else ():
                    layer.pool.freeze(id_)
        if self._open:
            for module in [network.encoder, *(layer.shared for layer in network.moe_layers)]:
                if module is not None:
                    _freeze(module)
        self._open = []

    def _name(self, task: int) -> str:
        return self.names.get(task, f"task {task}")


def _freeze(part: nn.Module | nn.Parameter) -> None:
    for parameter in [part] if isinstance(part, nn.Parameter) else part.parameters():
        parameter.requires_grad_(False)
        parameter.grad = None


def _network(strategy: Any) -> MoENetwork:
    model = strategy.model
    if not isinstance(model, TaskModel) or not isinstance(model.network, MoENetwork):
        raise InputError(
            f"MoEPlugin: the strategy's model is a {type(model).__name__}; "
            "give it a TaskModel over a MoENetwork (see cl_moe.strategies.networks.build_moe)"
        )
    return model.network


def _rows(strategy: Any, task: int) -> tuple[Tensor, Tensor]:
    """Return the training rows (x, y) of one task of the current experience, on the device."""
    data = strategy.experience.dataset
    tensors = tensors_of(data)
    if tensors is None:
        x = torch.stack([data[i][0] for i in range(len(data))])
        y = torch.as_tensor(list(data.targets))
        tasks = torch.as_tensor(list(data.targets_task_labels))
    else:
        x, y, tasks = tensors[0], tensors[1], tensors[-1]
    own = tasks == task
    if not bool(own.all()):
        x, y = x[own], y[own]
    return x.to(strategy.device), y.to(strategy.device)
