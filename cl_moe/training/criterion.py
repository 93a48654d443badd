"""The loss of a batch whose rows may be of tasks with different objectives."""

from __future__ import annotations

import torch
from torch import Tensor

from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.training.model import TaskModel

__all__ = ("TaskCriterion",)


class TaskCriterion:
    """The mean over a batch of each row's loss under the objective of its task.

    Avalanche and its plugins call a criterion with outputs and targets only. The task of each row
    is taken from the model's last forward pass, :attr:`TaskModel.answered`. Where all tasks are
    classification it is the cross-entropy of ``nn.CrossEntropyLoss``.

    Losses of different objectives have different units: where a batch mixes them, targets of
    regression should have a variance near 1.

    Args:
        model: the model of the outputs.

    >>> from cl_moe.objectives.regression import Regression
    >>> from cl_moe.strategies.networks import build_moe
    >>> from cl_moe.streams.spec import NetworkSpec
    >>> model = build_moe(NetworkSpec(hidden=[8]), shape=(4,), seed=0)
    >>> model.objectives[1], model.answered = Regression(1), torch.tensor([0, 1])
    >>> outputs, y = torch.tensor([[0.0, 0.0], [3.0, -1e4]]), torch.tensor([[1.0], [1.0]])
    >>> round(TaskCriterion(model)(outputs, y).item(), 3)  # (ln 2 + (3 - 1)^2) / 2
    2.347
    """

    def __init__(self, model: TaskModel) -> None:
        self.model = model

    def __call__(self, outputs_BC: Tensor, y: Tensor) -> Tensor:
        """Return the mean loss of outputs (B, C) for the targets of a batch."""
        objectives, tasks = self.model.objectives, self.model.answered
        if not objectives or tasks is None:
            return Classification(outputs_BC.shape[1]).loss(outputs_BC, y)
        known = [tasks] if isinstance(tasks, int) else tasks.unique().tolist()
        if len(known) == 1:
            return self._of(known[0], outputs_BC).loss(outputs_BC, y)
        assert isinstance(tasks, Tensor)
        losses_B = torch.empty_like(outputs_BC[:, 0])
        for task in known:
            rows = tasks == task
            objective = self._of(task, outputs_BC)
            own = outputs_BC[rows]
            if task in objectives:
                own = own[:, : objective.n_outputs]
            losses_B[rows] = objective.loss(own, y[rows], "none")
        return losses_B.mean()

    def _of(self, task: int, outputs_BC: Tensor) -> Objective:
        """Return a task's objective; by default classification.

        The logits of classes that a task does not have are far below all others.
        """
        return self.model.objectives.get(task) or Classification(outputs_BC.shape[1])
