"""A cl_moe network as an Avalanche module."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from avalanche.benchmarks import CLExperience
from avalanche.models import MultiTaskModule
from torch import Tensor, nn

from cl_moe.errors import InputError
from cl_moe.moe.checkpoint import network_state, restore_network
from cl_moe.moe.dense import SharedHeadNetwork, TaskNetwork
from cl_moe.moe.experts.base import floats
from cl_moe.moe.extract import unknown_task
from cl_moe.moe.freezing import set_mode, tensors_of
from cl_moe.moe.network import MoENetwork
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.objectives.named import make_objective
from cl_moe.state import State, Stateful, merged, part_of, save_state
from cl_moe.training.labels import require_rows
from cl_moe.training.objectives import objectives_by_task

__all__ = ("TaskModel",)

DEVICE = (str, torch.device)

ABSENT = -1e4
"""Logit of a class that a task does not have, where a batch mixes tasks of different sizes.

Avalanche pads with 0, which counts as a real class in the softmax and may win the argmax.
"""


class TaskModel(MultiTaskModule):
    """Wraps a :class:`TaskNetwork` or :class:`MoENetwork` as an Avalanche multi-task module.

    Avalanche adapts a model before evaluation, too; heads are added in training only, so that
    evaluation changes nothing. A task that is evaluated before it is learned gets logits of 0.

    Attributes:
        network: the wrapped network; ``network(x, task)`` gives the logits of one task.
        origin: plain values from which it was made, for :meth:`save`.
        one_head: whether all tasks share one head, so that tasks can be evaluated before they are
            learned.
        tasks_info: information on each task, by label: ``name``, and ``classes`` in the order of
            the outputs. It is saved with the model.
        memory: parts with a state, by name; they are saved with the model.
        objectives: known objectives of tasks other than classification.
        answered: the task labels of the last forward pass: one per row, one for all rows, or None.
        auxiliary: auxiliary losses of the last forward pass in training, by name. It is emptied
            when they are added to the loss.

    Args:
        network: the network.
        origin: see above.
        objectives: objectives of tasks that are evaluated before they are learned.
    """

    def __init__(
        self,
        network: TaskNetwork | MoENetwork,
        origin: Mapping[str, Any] | None = None,
        objectives: Mapping[int, Objective] | None = None,
    ) -> None:
        super().__init__()
        self.network = network
        self.origin = dict(origin or {})
        self.tasks_info: dict[int, dict[str, Any]] = {}
        self.memory: dict[str, Stateful] = {}
        self._saved_memory: dict[str, State] = {}
        self.one_head = isinstance(network, SharedHeadNetwork)
        self.objectives: dict[int, Objective] = {}
        self.answered: Tensor | int | None = None
        self.auxiliary: dict[str, Tensor] = {}
        self._evaluated: dict[int, int] = {}  # number of outputs of the tasks in evaluation
        self._note(objectives or {})

    def _note(self, objectives: Mapping[int, Objective]) -> None:
        for task, objective in objectives.items():
            if not isinstance(objective, Classification):
                self.objectives[task] = objective

    def train(self, mode: bool = True) -> TaskModel:
        """Set training or evaluation mode, without torch's cost per module."""
        set_mode(self, mode)
        return self

    def to(self, *args: Any, **kwargs: Any) -> TaskModel:
        """Move the model as torch does; only check where it is on the device already.

        Avalanche calls it before every task and every evaluation. Frozen parts are on the device of
        their training, unless the whole model was moved since.
        """
        target = torch.device(args[0]) if len(args) == 1 and isinstance(args[0], DEVICE) else None
        held = tensors_of(self, frozen=False) or tensors_of(self)
        if kwargs or target is None or any(tensor.device != target for tensor in held):
            return super().to(*args, **kwargs)
        return self

    def knows(self, task: int) -> bool:
        """Tell whether the model knows a task."""
        return self.one_head or str(task) in self.network.heads

    def adaptation(self, experience: CLExperience) -> None:
        """Add the heads of a training experience's tasks (dense), or outputs for new classes.

        New tasks of a mixture are added by :class:`~cl_moe.training.plugin.MoEPlugin`. For an
        experience in evaluation only the number of classes is recorded, the width of its logits.
        """
        self._evaluated = {}
        objectives = objectives_by_task(experience.dataset)
        found = {task: objective.n_outputs for task, objective in objectives.items()}
        if not self.training:
            self._evaluated = found
            return
        self._note(objectives)
        for task, n_classes in found.items():
            self.known_train_tasks_labels.add(task)
            if str(task) not in self.network.heads:
                if isinstance(self.network, MoENetwork):
                    raise RuntimeError(
                        f"task {task} has no experts: give a MoEPlugin, or use TaskAwareMoE"
                    )
                self.network.add_task(task, n_classes)
            elif (reopen := getattr(self.network, "reopen", None)) is not None:
                reopen(task)
            self.network.widen_head(task, n_classes)

    def forward(
        self, x: Tensor, task_labels: Tensor | int | None = None
    ) -> Tensor | dict[int, Tensor]:
        """Return logits (B, C) for rows x (B, ...) with one task label each.

        Classes beyond a task's own are :data:`ABSENT`. Without labels, every learned task's logits
        for all rows, as Avalanche expects; of a shared head, those of the first task only.

        Raises:
            InputError: no tensors, not one label per row, or an unknown task.
        """
        require_rows(x, task_labels)
        self.auxiliary = {}
        self.answered = task_labels
        if task_labels is None:
            z, tasks = self._stem(x), self.network.tasks[: 1 if self.one_head else None]
            return {task: self._branch(z, task) for task in tasks}
        if isinstance(task_labels, int):
            return self.forward_single_task(x, task_labels)
        labels = task_labels.tolist()
        if labels.count(labels[0]) == len(labels):
            return self.forward_single_task(x, labels[0])
        ordered, order = task_labels.sort(stable=True)
        tasks, counts = ordered.unique_consecutive(return_counts=True)
        z = self._stem(x.index_select(0, order))
        parts = zip(tasks.tolist(), z.split(counts.tolist()), strict=True)
        outputs = [self._branch(part, task) for task, part in parts]
        width = max(output.shape[1] for output in outputs)
        padded = [_widened(output, width) for output in outputs]
        return torch.cat(padded).index_select(0, order.argsort())

    def forward_single_task(self, x: Tensor, task_label: int) -> Tensor:
        """Return the logits of one task.

        Raises:
            InputError: the task is unknown, and is not in the experience in evaluation.
        """
        return self._branch(self._stem(x), task_label)

    def _stem(self, x: Tensor) -> Tensor:
        """Return the task-independent features of rows."""
        return x if isinstance(self.network, MoENetwork) else self.network.stem(floats(x))

    def _branch(self, z: Tensor, task: int) -> Tensor:
        """Return the logits of one task for the stem's output, as wide as its labels need."""
        width = 0 if self.training else self._evaluated.get(task, 0)
        if self.knows(task):
            return _widened(self._known_branch(z, task), width)
        if not width:
            raise unknown_task(task, self.network.tasks)
        return torch.zeros(len(z), width, device=z.device)

    def _known_branch(self, z: Tensor, task: int) -> Tensor:
        if not isinstance(self.network, MoENetwork):
            return self.network.branch(z, task)
        logits, losses = self.network.forward_with_losses(z, task)
        for name, loss in losses.items():
            self.auxiliary[name] = self.auxiliary.get(name, 0.0) + loss
        return logits

    def attach(self, name: str, part: Stateful) -> None:
        """Save and load a part with a state together with the model.

        A saved state of the part is restored, once. A growth policy is attached by its plugin.

        Raises:
            InputError: the saved state belongs to another kind of part.
        """
        self.memory[name] = part
        state = self._saved_memory.get(name)
        if state is None:
            return
        if state.plain["kind"] != _kind_of(part):
            raise InputError(
                f"model: was saved with {name} '{state.plain['kind']}' but is continued with "
                f"'{_kind_of(part)}', whose state is incompatible; give the same one"
            )
        del self._saved_memory[name]
        part.restore(part_of(state, "own"))

    def state(self, shared: bool = False) -> State:
        """Return the state, with attached parts; ``shared`` is that of ``network_state``."""
        parts = {}
        for name, part in self.memory.items():
            own = merged({"own": part.state()})
            parts[name] = State({**own.plain, "kind": _kind_of(part)}, own.tensors)
        memory = merged({**self._saved_memory, **parts})
        found = {"network": network_state(self.network, shared), "memory": memory}
        if self.objectives:
            plain = {str(task): o.state() for task, o in self.objectives.items()}
            found["objectives"] = State(plain)
        return merged(found)

    def restore(self, state: State) -> None:
        """Restore the result of :meth:`state` in an untrained model of the same structure."""
        restore_network(self.network, part_of(state, "network"))
        memory = part_of(state, "memory")
        if "objectives" in state.plain:
            plain = part_of(state, "objectives").plain
            self._note({int(task): make_objective(**values) for task, values in plain.items()})
        self._saved_memory = {name: part_of(memory, name) for name in memory.plain}
        self.known_train_tasks_labels.update(self.network.tasks)

    def save(self, path: str | Path) -> None:
        """Write the model into a folder: JSON and safetensors, no pickle.

        A loaded model (:func:`cl_moe.load`) predicts the same bit for bit, and makes the same
        decision for the next task. Saved are experts, gates, heads, the base network, the set of
        frozen parts, and the state of the growth policy; not the optimizer, whose moments matter
        only for parameters that are trained on several tasks: those of shared gates, and all
        parameters under the policy ``fixed``.

        Args:
            path: the folder; a model that was saved there is replaced.

        Raises:
            InputError: the model has no ``origin``, or the folder is not a saved model.

        >>> import tempfile
        >>> import cl_moe
        >>> model = cl_moe.build_moe(cl_moe.NetworkSpec(hidden=[8]), shape=(4,), seed=0)
        >>> model.network.add_task(0, [["e0"]], model.network.new_head(0, n_outputs=3))
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     model.save(f"{folder}/model")
        ...     again, x = cl_moe.load(f"{folder}/model"), torch.rand(5, 4)
        >>> bool(torch.equal(again(x, 0), model(x, 0)))
        True
        """
        if not self.origin:
            raise InputError(
                "model: its construction is unknown; save models from build_moe, mixture or cl-moe "
                "run --keep-models"
            )
        own = self.state()
        known = {str(task): info for task, info in self.tasks_info.items() if self.knows(task)}
        about = {"origin": self.origin, "tasks": known}
        save_state(Path(path), State({**own.plain, **about}, own.tensors))

    def for_task(self, task: int) -> nn.Module:
        """Return a stand-alone module for one task, without Avalanche and without task routing.

        It maps rows x (B, ...) to logits (B, C); for a mixture it holds only the task's experts
        (:meth:`MoENetwork.for_task`).

        Raises:
            InputError: the model does not know the task.

        >>> from cl_moe import NetworkSpec, build_moe
        >>> model = build_moe(NetworkSpec(hidden=[8, 6]), shape=(4,), seed=0)
        >>> model.network.add_task(0, [["e0"]], model.network.new_head(0, n_outputs=3))
        >>> answer, x = model.for_task(0), torch.rand(5, 4)
        >>> torch.allclose(answer(x), model(x, 0), atol=1e-6)
        True
        """
        if not self.knows(task):
            raise unknown_task(task, self.network.tasks)
        return self.network.for_task(task)


def _widened(logits: Tensor, width: int) -> Tensor:
    """Return logits (B, C) padded with absent classes up to ``width``."""
    missing = width - logits.shape[1]
    return nn.functional.pad(logits, (0, missing), value=ABSENT) if missing > 0 else logits


def _kind_of(part: Stateful) -> str:
    return f"{type(part).__module__}:{type(part).__qualname__}"
