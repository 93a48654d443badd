"""The view of a task that a decision is based on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from torch import Tensor, nn
from torch.optim import Optimizer

from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.schedules import Schedule

__all__ = ("TaskView",)


@dataclass(frozen=True)
class TaskView:
    """The view of a new task for growth policies: its training data and budget only.

    Attributes:
        task: its label.
        name: its name.
        x: training inputs, (N, ...).
        y: training labels, (N,); for other objectives, targets (N, C).
        n_classes: number of classes; for other objectives, of outputs.
        steps: optimizer steps that the task will be trained for.
        batch_size: rows per step.
        make_optimizer: makes an optimizer of the strategy's kind and settings for modules that are
            not in the network yet, by their part names there
            (:func:`~cl_moe.moe.edits.expert_part`, :func:`~cl_moe.moe.edits.head_part`): each gets
            the settings that the strategy has for parts of its kind.
        schedule: the schedule of the learning rate over these steps.
        seed: seed of the decision's random numbers.
        names: names of known tasks, by label.
        objective: the objective; classification by default.
        objectives: objectives of earlier tasks other than classification, by label.
    """

    task: int
    name: str
    x: Tensor
    y: Tensor
    n_classes: int
    steps: int
    batch_size: int
    make_optimizer: Callable[[Mapping[str, nn.Module]], Optimizer]
    seed: int = 0
    schedule: Schedule = "constant"
    names: Mapping[int, str] = field(default_factory=dict)
    objective: Objective = field(default=None)  # type: ignore[assignment] # set in any case
    objectives: Mapping[int, Objective] = field(default_factory=dict)

    def __post_init__(self) -> None:
        given: object = self.objective
        if given is None:
            object.__setattr__(self, "objective", Classification(self.n_classes))

    def classifies(self, task: int | None = None) -> bool:
        """Tell whether an earlier task, or the new one (None), has classes."""
        known = self.objective if task is None else self.objectives.get(task)
        return known is None or isinstance(known, Classification)

    def name_of(self, task: int) -> str:
        """Return the name of a known task."""
        return self.names.get(task, f"task {task}")
