"""Conversion between tasks and Avalanche benchmarks.

The benchmark is that of Avalanche's ``dataset_benchmark``: ``task_incremental_benchmark`` drops the
classes of an experience, ``class_incremental_benchmark`` may lose a class, and the wrapper that
adds a validation stream drops the task labels. The tests count every sample, class and label.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from avalanche.benchmarks import CLScenario
from avalanche.benchmarks.scenarios.deprecated.classification_scenario import GenericCLScenario
from avalanche.benchmarks.scenarios.deprecated.dataset_scenario import StreamDef
from avalanche.benchmarks.scenarios.deprecated.lazy_dataset_sequence import LazyDatasetSequence
from avalanche.benchmarks.utils import (
    ConstantSequence,
    DataAttribute,
    TaskAwareSupervisedClassificationDataset,
    TaskLabels,
    _make_taskaware_classification_dataset,
)
from torch.utils.data import Dataset

from cl_moe.errors import InputError, InputWarning, one_per_place, shortened
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.streams.datasets import Relabelled, labels, take
from cl_moe.streams.labels import label_values, plain_labels
from cl_moe.streams.targets import Retargeted, padded
from cl_moe.streams.task import Task

__all__ = ("from_benchmark", "to_benchmark")


def to_benchmark(tasks: Sequence[Task]) -> CLScenario[Any]:
    """Return a benchmark whose experience k is task k, with task label k and classes from 0.

    The probes of a stream follow its tasks. Data sets are wrapped, not copied: tensors stay tensors
    (the leaf is the task's ``TensorDataset``), and per-sample transforms are applied when a sample
    is read.

    If any task is not a classification, all targets are float32 (N, W), padded to one width, so
    that a batch can hold rows of several tasks. Each data set then has its objective in an
    attribute ``objectives`` (:mod:`cl_moe.training.objectives`). Avalanche needs an integer per row
    as ``targets``: the class, or 0.
    """
    width = max((_width(task.objective) for task in tasks), default=0)
    known = all(isinstance(task.objective, Classification) for task in tasks)
    label = _with_task_label if known else _with_objective(tasks, width)
    return _LongScenario(
        stream_definitions={
            "train": _definition([label(t.train, k) for k, t in enumerate(tasks)]),
            "test": _definition([label(t.test, k) for k, t in enumerate(tasks)]),
        }
    )


Labelled = tuple[TaskAwareSupervisedClassificationDataset[Any], list[int]]
"""An experience's data, and the targets of its rows."""


def _definition(experiences: Sequence[Labelled]) -> StreamDef[Any]:
    """Return the definition of a stream whose experience k has task label k.

    It is that of Avalanche's ``dataset_benchmark``, which reads every target and task label from
    the data sets one by one, twice.
    """
    groups = {"train": (None, None), "eval": (None, None)}
    known = LazyDatasetSequence([], len(experiences))
    for task, (data, targets) in enumerate(experiences):
        known._loaded_experiences[task] = _make_taskaware_classification_dataset(
            data, transform_groups=groups, initial_transform_group="train"
        )
        known.targets_field_sequence[task] = targets
        known.task_labels_field_sequence[task] = [task] * len(targets)
    known._next_exp_id = len(experiences)
    known._exp_generator = known._exp_source = None
    return StreamDef(known, [{task} for task in range(len(experiences))], None, False)


class _LongScenario(GenericCLScenario):
    """Avalanche's benchmark, with experiences at a cost that does not grow with their number.

    Avalanche iterates over all experiences for each one, for the classes before and after it.
    """

    def __init__(self, **definitions: Any) -> None:
        self._classes: dict[str, list[list[set[int]]]] = {}
        super().__init__(**definitions)

    def get_classes_timeline(
        self, current_experience: int, stream: str = "train"
    ) -> tuple[list[int], list[int], list[int], list[int]]:
        """Return the classes of an experience, of those before it, of both, of those after it."""
        if stream not in self._classes:
            targets = self.stream_definitions[stream].exps_data.targets_field_sequence
            own = [set(targets[k]) for k in range(len(self.streams[stream]))]
            none: set[int] = set()
            before = [*itertools.accumulate(own, set.union, initial=none)]
            after = [*itertools.accumulate(reversed(own), set.union, initial=none)]
            self._classes[stream] = [own, before, after[-2::-1]]
        now, past, future = (found[current_experience] for found in self._classes[stream])
        return list(now), list(past), list(now | past), list(future)


def _with_task_label(data: Dataset[Any], position: int) -> Labelled:
    targets = labels(data).tolist()
    made = TaskAwareSupervisedClassificationDataset(
        [data],
        data_attributes=[
            DataAttribute(targets, "targets"),
            TaskLabels(ConstantSequence(position, len(targets))),
        ],
    )
    return made, targets


def _width(objective: Objective) -> int:
    """Return the numbers of one target."""
    return 1 if isinstance(objective, Classification) else objective.n_outputs


def _with_objective(tasks: Sequence[Task], width: int) -> Callable[[Dataset[Any], int], Labelled]:
    """Return what labels a task's data, its targets padded to one width."""

    def label(data: Dataset[Any], position: int) -> Labelled:
        objective = tasks[position].objective
        leaf = padded(data, objective, width)
        size = len(cast(Any, leaf))
        classes = labels(data).tolist() if isinstance(objective, Classification) else [0] * size
        made = TaskAwareSupervisedClassificationDataset(
            [leaf],
            data_attributes=[
                DataAttribute(classes, "targets"),
                TaskLabels(ConstantSequence(position, size)),
                DataAttribute(ConstantSequence(objective, size), "objectives"),
            ],
        )
        return made, classes

    return label


def from_benchmark(scenario: CLScenario[Any]) -> list[Task]:
    """Return one task per experience of an Avalanche benchmark (its streams ``train``, ``test``).

    Labels are mapped to 0..C-1 in the order of the benchmark's labels; the class names are those
    labels. Where the benchmark has one test set for all, each task gets the part with its classes.
    Task labels of experiences are not needed, so class-incremental benchmarks become
    task-incremental, with an :class:`~cl_moe.errors.InputWarning`. The objectives of
    :func:`to_benchmark` are kept.

    Raises:
        InputError: a stream is missing, the numbers of experiences do not match, or data that
            cannot be used, each cause once.
    """
    streams = getattr(scenario, "streams", None)
    if not isinstance(streams, Mapping):
        raise InputError(f"scenario: {shortened(scenario)} is not a benchmark of Avalanche")
    problems = [
        f"benchmark: no {split} stream; give one"
        for split in ("train", "test")
        if split not in streams
    ]
    if problems:
        raise InputError(problems)
    train = [experience.dataset for experience in streams["train"]]
    test = [experience.dataset for experience in streams["test"]]
    if len(test) not in (1, len(train)):
        raise InputError(
            f"benchmark: {len(train)} train and {len(test)} test experiences; "
            "give as many of each, or one test experience for all"
        )
    shared = len(test) == 1
    if shared and len(train) > 1 and any(_objective(data) is not None for data in train):
        raise InputError(
            f"benchmark: {len(train)} train experiences, some of other objectives than "
            "classification, and 1 test experience; give as many of each"
        )
    tasks = [
        _attempt(f"task{position}", data, test[0 if shared else position], shared)
        for position, data in enumerate(train)
    ]
    problems = [
        problem for task in tasks if isinstance(task, InputError) for problem in task.problems
    ]
    if problems:
        raise InputError(one_per_place(problems))
    _warn_of_shared_labels(streams["train"])
    return [task for task in tasks if isinstance(task, Task)]


def _warn_of_shared_labels(experiences: Sequence[Any]) -> None:
    """Warn that one problem of the benchmark becomes several tasks with task labels."""
    found = [tuple(experience.task_labels) for experience in experiences]
    if len(set(found)) < len(found):
        warnings.warn(
            f"benchmark: its {len(found)} experiences have no task label each (it is class- or "
            "domain-incremental); each becomes a task, and methods are told which task a sample "
            "is of, in tests too",
            InputWarning,
            stacklevel=4,
        )


def _attempt(name: str, train: Dataset[Any], test: Dataset[Any], shared: bool) -> Task | InputError:
    """Return the task, or the error: one task's problems must not hide another's."""
    try:
        return _task(name, train, test, shared)
    except InputError as error:
        return error


def _task(name: str, train: Dataset[Any], test: Dataset[Any], shared: bool) -> Task:
    objective = _objective(train)
    if objective is not None:
        splits = [Retargeted(data, _read_targets(data, objective)) for data in (train, test)]
        names = [str(k) for k in range(objective.n_outputs)]
        return Task(name, splits[0], splits[1], names, objective=objective)
    found = _classes(train, f"task '{name}', train data")
    if shared:
        test = _with_labels(test, found)
    mapping = {label: position for position, label in enumerate(found)}
    extra = [y for y in _classes(test, f"task '{name}', test data") if y not in mapping]
    if extra:
        raise InputError(
            f"task '{name}': label {extra[0]} is in the test experience but not in the training "
            "one; give each test experience the classes of its training experience"
        )
    return Task(
        name,
        train=Relabelled(train, mapping),
        test=Relabelled(test, mapping),
        classes=[str(label) for label in found],
    )


def _classes(data: Dataset[Any], place: str) -> list[int | str]:
    """Return the labels that data have, numbers by size and names by alphabet."""
    try:
        return sorted(set(plain_labels(label_values(data))), key=lambda y: (isinstance(y, str), y))
    except InputError as error:
        raise InputError([f"{place}: {problem}" for problem in error.problems]) from error


def _with_labels(data: Dataset[Any], wanted: Sequence[int | str]) -> Dataset[Any]:
    known = set(wanted)
    hits = [row for row, y in enumerate(plain_labels(label_values(data))) if y in known]
    return take(data, torch.tensor(hits, dtype=torch.int64))


def _objective(data: Any) -> Objective | None:
    """Return the objective of :func:`to_benchmark`; None for streams of classification."""
    return next(iter(getattr(data, "objectives", ())), None)


def _read_targets(data: Any, objective: Objective) -> torch.Tensor:
    return objective.targets(torch.stack([data[row][1] for row in range(len(data))]))
