"""Evaluation of a strategy through its own evaluation loop."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from avalanche.training.plugins import SupervisedPlugin
from torch import Tensor
from torch.nn import functional as F

from cl_moe.objectives import SCORES
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.seeding import preserve_random_state
from cl_moe.training.fingerprint import Fingerprints
from cl_moe.training.loader import TensorLoader

__all__ = ("Evaluation", "Record", "evaluate", "evaluate_changed")


@dataclass(frozen=True)
class Evaluation:
    """The evaluation of a strategy on one task.

    Attributes:
        task: the task's label.
        accuracy: share of correct rows, 0 to 1; NaN where the task has no classes.
        loss: mean loss of the task's objective; for classes the cross-entropy, in nats.
        n: number of rows.
        others: further metrics of the objective by name, the score first: r2, rmse; f1, ...
    """

    task: int
    accuracy: float
    loss: float
    n: int
    others: Mapping[str, float] = field(default_factory=dict)

    @property
    def metrics(self) -> dict[str, float]:
        """All metrics by name: the score first, the loss last."""
        own = {} if math.isnan(self.accuracy) else {"accuracy": self.accuracy}
        return {**own, **self.others, "loss": self.loss}

    @property
    def score(self) -> tuple[str, float]:
        """Name and value of the primary metric: accuracy, r2 or f1.

        >>> Evaluation(0, math.nan, 2.0, 10, {"r2": 0.5}).score
        ('r2', 0.5)
        """
        name = next((name for name in SCORES.values() if name in self.metrics), "accuracy")
        return name, self.metrics.get(name, self.accuracy)


Record = dict[int, tuple[bytes, Evaluation]]
"""By task: the fingerprint of all that its predictions depended on, and the evaluation."""


def evaluate(strategy: Any, experiences: Iterable[Any]) -> list[Evaluation]:
    """Evaluate a strategy on experiences of one task each, in their order.

    Runs ``strategy.eval``, so that the hooks of the strategy and of its plugins act as they do in
    Avalanche. Tasks without a head are left out: their accuracy is undefined, not 0. Parameters,
    buffers, experts, random states and training modes are restored.

    Args:
        strategy: any Avalanche ``SupervisedTemplate``.
        experiences: experiences with one task label each.
    """
    return _count(strategy, [e for e in experiences if _knows(strategy, e)]).found


def evaluate_changed(strategy: Any, experiences: Iterable[Any], record: Record) -> list[Evaluation]:
    """Return the result of :func:`evaluate`, evaluating only tasks that may have changed.

    A task is evaluated again unless its fingerprint
    (:class:`~cl_moe.training.fingerprint.Fingerprints`) shows that all its predictions depend on is
    the same bit for bit; always where there is no fingerprint, or where a transform, which may draw
    random numbers, makes the test rows.

    Args:
        strategy: as for :func:`evaluate`; or a copy of it.
        experiences: as for :func:`evaluate`, the same one per task in each call.
        record: the earlier evaluations; updated.
    """
    fingerprints = Fingerprints(strategy)
    known = {_task(e): e for e in experiences if _knows(strategy, e)}
    now = {task: fingerprints.of(task) for task in known}
    changed = [t for t in known if now[t] is None or t not in record or record[t][0] != now[t]]
    counter = _count(strategy, [known[task] for task in changed])
    found = {evaluation.task: evaluation for evaluation in counter.found}
    for task, evaluation in found.items():
        record.pop(task, None)
        fingerprint = now[task]
        if fingerprint is not None and task not in counter.fetched:
            record[task] = (fingerprint, evaluation)
    return [found[task] if task in found else record[task][1] for task in known]


def _count(strategy: Any, known: list[Any]) -> _Counter:
    """Run the evaluation loop on experiences with known tasks."""
    counter = _Counter()
    if not known:
        return counter
    # the last plugin is Avalanche's clock, which must stay the last
    strategy.plugins.insert(len(strategy.plugins) - 1, counter)
    try:
        with preserve_random_state():  # data loaders draw from it even without shuffling
            strategy.eval(known)
    finally:
        strategy.plugins.remove(counter)
    return counter


class _Counter(SupervisedPlugin):
    """Counts correct rows and sums losses, per experience.

    Outputs are stored where an objective needs all of them at once.

    Attributes:
        found: one evaluation per experience.
        fetched: tasks whose rows were not plain tensors.
    """

    def __init__(self) -> None:
        super().__init__()
        self.found: list[Evaluation] = []
        self.fetched: set[int] = set()
        self._right = self._loss = torch.zeros((), dtype=torch.float64)
        self._n = 0
        self._objective: Objective | None = None
        self._kept: list[tuple[Tensor, Tensor]] = []

    def before_eval_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        self._right = self._loss = torch.zeros((), dtype=torch.float64)
        self._n = 0
        self._kept = []
        self._objective = next(iter(getattr(strategy.experience.dataset, "objectives", ())), None)

    def after_eval_iteration(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        logits, y = strategy.mb_output, strategy.mb_y
        if self._objective is not None:
            y = self._objective.targets(y)
            if not isinstance(self._objective, Classification):
                self._kept.append((logits.detach().cpu(), y.cpu()))
                self._n += len(y)
                return
        self._right = self._right + (logits.argmax(1) == y).sum().cpu().double()
        self._loss = self._loss + F.cross_entropy(logits, y, reduction="sum").cpu().double()
        self._n += len(y)

    def after_eval_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        rows, task = max(1, self._n), _task(strategy.experience)
        if not isinstance(strategy.dataloader, TensorLoader):
            self.fetched.add(task)
        if self._kept and self._objective is not None:
            outputs, y = (torch.cat(parts) for parts in zip(*self._kept, strict=True))
            others = dict(self._objective.metrics(outputs, y))
            loss = others.pop("loss")
            self.found.append(Evaluation(task, math.nan, loss, self._n, others))
            return
        self.found.append(
            Evaluation(
                task=task,
                accuracy=float(self._right) / rows,
                loss=float(self._loss) / rows,
                n=self._n,
            )
        )


def _knows(strategy: Any, experience: Any) -> bool:
    """Tell whether the model knows the task; a model without ``knows`` is tried."""
    knows = getattr(strategy.model, "knows", None)
    if knows is not None:
        return bool(knows(_task(experience)))
    labels = getattr(strategy.model, "known_train_tasks_labels", None)
    return labels is None or _task(experience) in labels


def _task(experience: Any) -> int:
    labels = sorted(set(experience.task_labels))
    assert len(labels) == 1, f"an experience of one task is evaluated, not of {labels}"
    return int(labels[0])
