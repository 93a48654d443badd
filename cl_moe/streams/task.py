"""Task and TaskStream: what is learned, one after the other."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, cast, overload

from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from cl_moe.errors import InputError
from cl_moe.objectives.base import Objective
from cl_moe.streams.datasets import Data
from cl_moe.streams.problems import name_problems
from cl_moe.streams.targets import (
    as_task_data,
    objective_of,
    output_names,
    target_problems,
    targets,
    tensors,
)

if TYPE_CHECKING:
    from avalanche.benchmarks import CLScenario

__all__ = ("Task", "TaskStream")

Split = Literal["train", "test"]


@dataclass(frozen=True, eq=False)
class Task:
    """One task: data, what is to be learned of them, and how it relates to other tasks.

    Args:
        name: unique within a stream.
        train: any torch ``Dataset`` of (x: float32 Tensor of one shape, y: int), or a pair
            (x_N..., y_N) of arrays or tensors; bytes are scaled to [0, 1]. Data sets with own
            transforms stay lazy: these are applied whenever a sample is read.
        test: the same; never used for learning or for a decision.
        classes: their names; labels are 0..len(classes)-1, each with at least one training sample.
            Of another objective the names of its outputs, which may be left out.
        group: tasks that are averaged together in the results, e.g. ``"low_resource"``.
        derived_from: name of the task or source this one was made from.
        relation: how, e.g. ``"shifted input"``, ``"new classes"``, ``"recurring"``.
        objective: ``"classification"``; ``"regression"``, y real numbers (N,) or (N, D), or
            ``"multilabel"``, y of 0 and 1, (N, C), both kept as float32 (N, D); or an
            :class:`~cl_moe.objectives.base.Objective`.

    Raises:
        InputError: with every problem of the data.

    >>> import torch
    >>> Task(
    ...     "toy",
    ...     train=(torch.eye(4), [0, 1, 0, 1]),
    ...     test=(torch.eye(4), [0, 1, 0, 1]),
    ...     classes=("a", "b"),
    ... )
    Task('toy', 2 classes, shape (4,), 4 train, 4 test)
    >>> x, y = torch.eye(4), [0.5, 1.5, 2.0, 3.0]
    >>> Task("rated", (x, y), (x, y), objective="regression")
    Task('rated', 1 output, shape (4,), 4 train, 4 test)
    """

    name: str
    train: Dataset[Any] = field(repr=False)
    test: Dataset[Any] = field(repr=False)
    classes: tuple[str, ...]
    group: str | None = None
    derived_from: str | None = None
    relation: str | None = None
    objective: Objective = field(default=None)  # type: ignore[assignment] # set in any case

    def __init__(
        self,
        name: str,
        train: Data,
        test: Data,
        classes: Iterable[str] = (),
        group: str | None = None,
        derived_from: str | None = None,
        relation: str | None = None,
        objective: str | Objective = "classification",
    ) -> None:
        names = tuple(str(label) for label in classes)
        data = as_task_data(train, objective, f"task '{name}', train data")
        aim = objective_of(objective, names, data, f"task '{name}'")
        values: dict[str, object] = {
            "name": name,
            "train": data,
            "test": as_task_data(test, objective, f"task '{name}', test data"),
            "classes": names or output_names(aim),
            "group": group,
            "derived_from": derived_from,
            "relation": relation,
            "objective": aim,
        }
        for key, value in values.items():
            object.__setattr__(self, key, value)
        problems = self._problems()
        if problems:
            raise InputError(problems)

    def _problems(self) -> list[str]:
        problems = name_problems(self.name) + [
            f"task '{self.name}', {split} data: {problem}"
            for split, data in (("train", self.train), ("test", self.test))
            for problem in target_problems(
                data, self.objective, self.classes, complete=split == "train"
            )
        ]
        if not problems and self._shape("train") != self._shape("test"):
            problems.append(
                f"task '{self.name}': train inputs have shape {self._shape('train')}, "
                f"test inputs {self._shape('test')}; give both one shape"
            )
        return problems

    def _dataset(self, split: Split) -> Dataset[Any]:
        return self.train if split == "train" else self.test

    def _shape(self, split: Split) -> tuple[int, ...]:
        data = self._dataset(split)
        return tuple((data.tensors[0] if isinstance(data, TensorDataset) else data[0])[0].shape)

    @property
    def n_classes(self) -> int:
        """Number of classes; of another objective, of outputs."""
        return len(self.classes)

    @cached_property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input, without the batch."""
        return self._shape("train")

    @property
    def n_train(self) -> int:
        """Number of training samples."""
        return len(cast(Any, self.train))

    @property
    def n_test(self) -> int:
        """Number of test samples."""
        return len(cast(Any, self.test))

    def labels(self, split: Split) -> Tensor:
        """Return the targets of a split, without reading inputs where that can be avoided.

        Labels (N,) int64; of another objective float32 (N, D).
        """
        return targets(self._dataset(split), self.objective)

    def strata(self, split: Split) -> Tensor:
        """Return what draws of a split are stratified by (N,): classes, else one for all rows."""
        return self.objective.strata(self.labels(split))

    def tensors(self, split: Split) -> tuple[Tensor, Tensor]:
        """Return inputs and targets of a split; a lazy data set's samples are read once, now.

        >>> import torch
        >>> task = Task("toy", (torch.eye(2), [0, 1]), (torch.eye(2), [0, 1]), ("a", "b"))
        >>> task.tensors("train")[1]
        tensor([0, 1])
        """
        return tensors(self._dataset(split), self.objective)

    def __repr__(self) -> str:
        extra = f", group '{self.group}'" if self.group else ""
        if self.relation:
            extra += f", {self.relation}"
        if self.derived_from:
            extra += f" of '{self.derived_from}'"
        return (
            f"Task('{self.name}', {self.objective.counted}, shape {self.shape}, "
            f"{self.n_train} train, {self.n_test} test{extra})"
        )

    def in_memory(self) -> Task:
        """Return the task as tensors: each sample of a lazy data set is read once, now."""
        train, test = self.tensors("train"), self.tensors("test")
        return replace(self, train=TensorDataset(*train), test=TensorDataset(*test))

    def renamed(self, name: str) -> Task:
        """Return the task under another name."""
        return replace(self, name=name)


class TaskStream(Sequence[Task]):
    """An ordered list of tasks, and unseen ones (probes) to be learned after its end.

    Args:
        tasks: in the order they are learned; names are unique, inputs have one shape.
        name: shown in results.
        probes: each is learned from a copy of the state at the end of the stream, then forgotten.

    Raises:
        InputError: no task, a name twice, or inputs of more than one shape.

    >>> import torch
    >>> toy = Task("toy", (torch.eye(2), [0, 1]), (torch.eye(2), [0, 1]), ("a", "b"))
    >>> TaskStream([toy, toy.renamed("again")])
    TaskStream 'stream': 2 tasks, inputs (2,)
      0 toy    2 classes  train 2  test 2
      1 again  2 classes  train 2  test 2
    """

    def __init__(
        self, tasks: Iterable[Task], name: str = "stream", probes: Iterable[Task] = ()
    ) -> None:
        self.tasks, self.probes, self.name = tuple(tasks), tuple(probes), name
        problems = [] if self.tasks else [f"stream '{name}': no task; give at least one"]
        seen: set[str] = set()
        for task in (*self.tasks, *self.probes):
            if task.name in seen:
                problems.append(f"stream '{name}': two tasks are called '{task.name}'; rename one")
            seen.add(task.name)
            if self.tasks and task.shape != self.tasks[0].shape:
                problems.append(
                    f"stream '{name}': inputs of task '{task.name}' have shape {task.shape}, "
                    f"those of '{self.tasks[0].name}' {self.tasks[0].shape}; give all one shape "
                    "(in a scenario: shape = [...] under [stream])"
                )
        if problems:
            raise InputError(problems)

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one input, the same for all tasks."""
        return self.tasks[0].shape

    def __len__(self) -> int:
        return len(self.tasks)

    @overload
    def __getitem__(self, index: int) -> Task: ...
    @overload
    def __getitem__(self, index: slice) -> TaskStream: ...
    def __getitem__(self, index: int | slice) -> Task | TaskStream:
        if isinstance(index, slice):
            return TaskStream(self.tasks[index], self.name, self.probes)
        return self.tasks[index]

    def table(self) -> list[dict[str, Any]]:
        """Return one row a task, probes last: position, task, group, derived_from, relation, sizes.

        >>> import torch
        >>> toy = Task("toy", (torch.eye(2), [0, 1]), (torch.eye(2), [0, 1]), ("a", "b"))
        >>> TaskStream([toy]).table()[0]["n_train"]
        2
        """
        from cl_moe.streams.describe import table

        return table(self)

    def __repr__(self) -> str:
        from cl_moe.streams.describe import describe

        return describe(self)

    def in_memory(self) -> TaskStream:
        """Return the stream as tensors, for lazy data sets that read the same way each time."""
        tasks = [task.in_memory() for task in (*self.tasks, *self.probes)]
        return TaskStream(tasks[: len(self)], self.name, tasks[len(self) :])

    def validation_split(self, fraction: float, seed: int) -> TaskStream:
        """Return the stream with training sets split in two: ``test`` is held-out training data.

        The real test data and the probes are not in it, so that nothing chosen with it has seen
        them. The split is stratified; see :func:`cl_moe.streams.validation.validation_split`.

        Raises:
            InputError: ``fraction`` is not between 0 and 1, or a task has one sample a class.

        >>> import torch
        >>> toy = Task("toy", (torch.eye(4), [0, 1, 0, 1]), (torch.eye(4), [0, 1, 0, 1]), "ab")
        >>> TaskStream([toy]).validation_split(0.5, seed=0)[0].n_test
        2
        """
        from cl_moe.streams.validation import validation_split

        return validation_split(self, fraction, seed)

    def to_benchmark(self) -> CLScenario[Any]:
        """Return an Avalanche benchmark; see :func:`cl_moe.streams.benchmark.to_benchmark`."""
        from cl_moe.streams.benchmark import to_benchmark

        return to_benchmark(self)

    @classmethod
    def from_benchmark(cls, scenario: CLScenario[Any], name: str | None = None) -> TaskStream:
        """Return the stream in any Avalanche benchmark; see :mod:`cl_moe.streams.benchmark`."""
        from cl_moe.streams.benchmark import from_benchmark

        return from_benchmark(scenario, name)
