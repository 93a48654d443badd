"""The plugin that grows a mixture of experts inside any Avalanche strategy."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from avalanche.core import SupervisedPlugin

from cl_moe.arguments import checked
from cl_moe.batching import n_batches
from cl_moe.continual.decision import Decision
from cl_moe.continual.events import candidates_of, sentence
from cl_moe.continual.growth.base import GrowthPolicy, make_growth
from cl_moe.continual.view import TaskView
from cl_moe.errors import InputError
from cl_moe.moe.edits import Train, apply, expert_part, head_part, named, set_trainable
from cl_moe.moe.freezing import set_mode
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.normalisation import needs_two
from cl_moe.objectives.base import Objective
from cl_moe.state import State
from cl_moe.training.arrivals import (
    arriving,
    decides_again,
    first_rows,
    rows_of,
    without_learning,
)
from cl_moe.training.batches import pair_rows
from cl_moe.training.event_lines import EventLines
from cl_moe.training.groups import ParameterGroups
from cl_moe.training.labels import require_labels
from cl_moe.training.model import TaskModel
from cl_moe.training.optimizer import sync_optimizer
from cl_moe.training.protection import Protection
from cl_moe.training.strategy import Strategy, epochs_for

__all__ = ("MoEPlugin",)

USAGE_ROWS = 512
"""Training rows for measuring a task's expert usage."""


class MoEPlugin(SupervisedPlugin):
    """Grows, freezes and protects experts as tasks arrive, and logs the decisions.

    Works inside any ``SupervisedTemplate`` whose model is a :class:`TaskModel` over a
    :class:`~cl_moe.moe.network.MoENetwork`, beside Avalanche's own plugins. For each new task the
    growth policy gets the task's training data and returns a decision, which is applied before
    Avalanche adapts the model, so that the optimizer gets the new parameters.

    Args:
        growth: the policy, or its name.
        names: names of the tasks by label, for the log.
        seed: seed of the decisions' random numbers.

    Attributes:
        events: one JSON-able record per decision: ``task``, ``name``, ``kind``, ``sentence``,
            ``source``, ``path``, ``new_experts``, ``retrained``, ``candidates``, ``experts``,
            ``steps`` (of the decision), ``learned`` (steps whose training was kept), ``seconds``
            (CPU seconds without those of ``learned``), and, when the task has ended, ``usage``
            (layer by layer, the share of each expert) and, after a reassignment, ``agreement``
            (share of the new inputs with unchanged predictions of earlier tasks).
    """

    @checked()
    def __init__(
        self,
        growth: GrowthPolicy | str = "reuse_or_grow",
        names: Sequence[str] = (),
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.growth = growth if isinstance(growth, GrowthPolicy) else make_growth(growth)
        self.names, self.seed = dict(enumerate(names)), seed
        self.events: list[dict[str, Any]] = []
        self.protection = Protection(self.growth, seed)
        self._groups, self._lines = ParameterGroups(), EventLines()
        self._open: list[int] = []
        self._decided: list[tuple[TaskView, Decision]] = []
        self._learns = True
        self._learned = 0

    # Hooks of Avalanche, in the order in which they are called.

    def before_train_dataset_adaptation(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Make and apply the decisions for the tasks of the experience."""
        require_labels(strategy.experience)
        self._close(strategy)
        network = _network(strategy)
        learned: list[int] = []  # steps of earlier trainings, for tasks that are trained further
        parts: set[str] = set()
        strategy.model.attach("growth", self.growth)
        strategy.model.attach("protection", self.protection)
        for task, name in self.names.items():
            strategy.model.tasks_info.setdefault(task, {"name": name})
        set_mode(network, False)  # a decision must not change the network
        network.backbone.prepare(first_rows(strategy))
        self._groups.note(strategy.optimizer, network)
        tasks = arriving(strategy)
        self.protection.objectives = strategy.model.objectives
        for task in sorted(tasks, key=lambda task: str(task) not in network.heads):
            self._open.append(task)
            view = self._view(strategy, task, tasks[task])
            if str(task) in network.heads and not decides_again(view, network):
                parts |= self._return(task, view.n_classes, network)
                learned.append(0)
                continue
            start = time.process_time()
            with without_learning(network, parts):
                decision = self.growth.decide(view, network)
            seconds = time.process_time() - start - decision.learned_seconds
            parts |= self._apply(decision, view, network, seconds)
            learned += [decision.learned] if decision.train else []
        set_trainable(network, parts)
        set_mode(network, True)
        if self._groups.place(strategy.optimizer, network):  # else Avalanche would guess
            strategy.optimized_param_id = dict(strategy.model.named_parameters())
        self._learns, self._learned = bool(learned), min(learned, default=0)

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Make the optimizer hold exactly the trainable parameters."""
        sync_optimizer(strategy.optimizer, strategy.model)

    def before_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """End the training of a task whose budget is used up.

        Training steps of a kept trial are not repeated: the task's training is shorter by the
        number of whole epochs.
        """
        pair_rows(strategy)
        steps = len(strategy.dataloader)
        strategy.learned = self._learned // steps * steps
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
            x, y = rows_of(strategy, task)
            event = next(e for e in reversed(self.events) if e["task"] == task)
            event["usage"] = network.usage(x[:USAGE_ROWS], task)
            agreement = self.protection.end_task(network, task, x, y)
            if agreement:
                event["agreement"] = {self._name(t): share for t, share in agreement.items()}
        set_mode(network, True)
        for view, decision in self._decided:
            self.growth.learned(view, network, decision)
        self._decided = []

    def after_training(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Freeze the parts that the last tasks trained, after all plugins' end-of-task hooks."""
        self._close(strategy)

    def state(self) -> State:
        """Return the log and the parameter groups; the model holds the policy's state."""
        events = self._lines.text(self.events, changing=len(self._open))
        return State({"events": events, "groups": self._groups.state()})

    def restore(self, state: State) -> None:
        """Restore the result of :meth:`state`."""
        self.events[:] = self._lines.events(state.plain["events"], changing=len(self._open))
        self._groups.restore(state.plain["groups"])

    # What the hooks are made of.

    def _view(self, strategy: Any, task: int, objective: Objective) -> TaskView:
        x, y = rows_of(strategy, task)
        batch, pairs = strategy.train_mb_size, needs_two(strategy.model)
        own = strategy.training if isinstance(strategy, Strategy) else None
        epochs = epochs_for(len(y), own, lambda: pairs) if own else strategy.train_epochs
        return TaskView(
            task=task,
            name=self._name(task),
            x=x,
            y=objective.targets(y),
            n_classes=objective.n_outputs,
            steps=epochs * n_batches(len(y), batch, pairs),
            batch_size=batch,
            make_optimizer=lambda parts: self._groups.optimizer_for(strategy.optimizer, parts),
            seed=self.seed,
            schedule=own.schedule if own else "constant",
            names=self.names,
            objective=objective,
            objectives=dict(strategy.model.objectives),
        )

    def _apply(
        self, decision: Decision, view: TaskView, network: MoENetwork, seconds: float
    ) -> set[str]:
        """Apply a decision to the network; return the trainable parts."""
        self.protection.start(network, decision)
        used = {
            expert_part(layer.name, id_)
            for layer in network.moe_layers
            for experts in layer.assigned.values()
            for id_ in experts
        }
        if str(view.task) in network.heads:  # it is answered anew
            del network.heads[str(view.task)]
        ids = apply(network, [edit for edit in decision.edits if not isinstance(edit, Train)])
        parts = {part for edit in decision.edits if isinstance(edit, Train) for part in edit.parts}
        path = network.path(view.task) if network.owns_path(view.task) else ()
        new = [
            [depth, id_]
            for depth, (layer, experts) in enumerate(zip(network.moe_layers, path, strict=False))
            for id_ in experts
            if expert_part(layer.name, id_) not in used
        ]
        evidence = decision.evidence
        self._decided.append((view, decision))
        self._log(
            view.task,
            network,
            kind=decision.kind,
            sentence=sentence(decision, view),
            source=None if evidence.source is None else view.name_of(evidence.source),
            new_experts=new,
            retrained=[list(place) for place in decision.retrain],
            candidates=candidates_of(decision, view),
            steps=decision.steps,
            learned=decision.learned,
            seconds=seconds,
        )
        return {named(part, ids) for part in parts}

    def _return(self, task: int, n_classes: int, network: MoENetwork) -> set[str]:
        """Continue a recurring task: train its head, and experts that no other task uses.

        Returns:
            The trainable parts.
        """
        network.widen_head(task, n_classes)
        parts = {head_part(task)}
        if network.owns_path(task):
            for layer in network.moe_layers:
                others = {i for t, e in layer.assigned.items() if t != task for i in e}
                alone = set(layer.assigned[task]) - others
                held = alone if self.growth.freezes else {*alone, *layer.pool.trainable}
                parts |= {expert_part(layer.name, id_) for id_ in held}
        name = self._name(task)
        done = f"task {task} '{name}' returned and learns on"
        self._log(task, network, kind="return", sentence=done, source=name)
        return parts

    def _log(self, task: int, network: MoENetwork, **what: Any) -> None:
        """Log the decision for a task, and the number of experts after it."""
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
        """Freeze the parts of the finished tasks; a second call does nothing."""
        if not self._open:
            return
        network, kept = _network(strategy), set[str]()
        if not self.growth.freezes:
            for layer in network.moe_layers:
                kept |= {expert_part(layer.name, id_) for id_ in layer.pool.trainable}
        set_trainable(network, kept)
        self._open = []

    def _name(self, task: int) -> str:
        return self.names.get(task, f"task {task}")


def _network(strategy: Any) -> MoENetwork:
    model = strategy.model
    if not isinstance(model, TaskModel) or not isinstance(model.network, MoENetwork):
        raise InputError(
            f"MoEPlugin: the strategy's model is a {type(model).__name__}; "
            "give it a TaskModel over a MoENetwork (see cl_moe.strategies.networks.build_moe)"
        )
    return model.network
