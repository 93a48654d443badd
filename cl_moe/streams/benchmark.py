"""Tasks to Avalanche benchmark and back.

Built on Avalanche's ``dataset_benchmark`` alone: ``task_incremental_benchmark`` drops the classes
of an experience, ``class_incremental_benchmark`` may lose a class, and the wrapper that adds a
validation stream drops the task labels. The tests count every sample, class and label.
"""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from avalanche.benchmarks import CLScenario, dataset_benchmark
from avalanche.benchmarks.scenarios.deprecated.classification_scenario import GenericCLScenario
from avalanche.benchmarks.utils import (
    ConstantSequence,
    DataAttribute,
    TaskAwareSupervisedClassificationDataset,
    TaskLabels,
)
from torch.utils.data import Dataset

from cl_moe.errors import InputError, InputWarning, one_a_place
from cl_moe.streams.datasets import Relabelled, labels, take
from cl_moe.streams.labels import label_values, plain_labels
from cl_moe.streams.task import Task

__all__ = ("from_benchmark", "to_benchmark")


def to_benchmark(tasks: Sequence[Task]) -> CLScenario[Any]:
    """Return a benchmark whose experience k is task k, with task label k and classes from 0.

    Of a stream, the probes follow its tasks. Data sets are wrapped, not copied: tensors stay
    tensors (the leaf is the task's ``TensorDataset``), and per-sample transforms are applied when a
    sample is read.
    """
    made = dataset_benchmark(
        [_with_task_label(task.train, position) for position, task in enumerate(tasks)],
        [_with_task_label(task.test, position) for position, task in enumerate(tasks)],
    )
    definitions = {name: (list(d.exps_data),) for name, d in made.stream_definitions.items()}
    return _LongScenario(stream_definitions=definitions)


class _LongScenario(GenericCLScenario):
    """Avalanche's benchmark, but an experience is made at the same price however many there are.

    Avalanche walks through all experiences whenever it makes one, to say which classes came before
    it and which come after.
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


def _with_task_label(
    data: Dataset[Any], position: int
) -> TaskAwareSupervisedClassificationDataset[Any]:
    targets = labels(data).tolist()
    return TaskAwareSupervisedClassificationDataset(
        [data],
        data_attributes=[
            DataAttribute(targets, "targets"),
            TaskLabels(ConstantSequence(position, len(targets))),
        ],
    )


def from_benchmark(scenario: CLScenario[Any]) -> list[Task]:
    """Return one task an experience of an Avalanche benchmark (its streams ``train``, ``test``).

    Labels are mapped to 0..C-1 in the order of the benchmark's labels; the class names are those
    labels. Where the benchmark has one test set for all, each task gets the part with its classes.
    An experience's own task labels are not needed, so class-incremental benchmarks become
    task-incremental; an :class:`~cl_moe.errors.InputWarning` says so.

    Raises:
        InputError: a stream is missing, the numbers of experiences do not match, or data that
            cannot be used, each cause once.
    """
    streams = scenario.streams
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
    tasks = [
        _attempt(f"task{position}", data, test[0 if shared else position], shared)
        for position, data in enumerate(train)
    ]
    problems = [
        problem for task in tasks if isinstance(task, InputError) for problem in task.problems
    ]
    if problems:
        raise InputError(one_a_place(problems))
    _warn_of_shared_labels(streams["train"])
    return [task for task in tasks if isinstance(task, Task)]


def _warn_of_shared_labels(experiences: Sequence[Any]) -> None:
    """Say that what is one problem in the benchmark becomes several tasks that are told apart."""
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
