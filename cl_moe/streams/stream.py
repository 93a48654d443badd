"""TaskStream: a sequence of tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, overload

from cl_moe.arguments import checked
from cl_moe.errors import InputError, one_per_cause
from cl_moe.objectives.classification import Classification
from cl_moe.streams.describe import describe
from cl_moe.streams.task import Task
from cl_moe.streams.validation import validation_split

if TYPE_CHECKING:
    from avalanche.benchmarks import CLScenario

__all__ = ("TaskStream",)


class TaskStream(Sequence[Task]):
    """An ordered list of tasks, and unseen ones (probes) to be learned after its end.

    Args:
        tasks: in the order they are learned; names are unique, inputs have one shape.
        name: the name in results.
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

    @checked()
    def __init__(
        self, tasks: Iterable[Task], name: str = "stream", probes: Iterable[Task] = ()
    ) -> None:
        self.tasks, self.probes, self.name = tuple(tasks), tuple(probes), name
        place = f"stream '{name}'"
        found = [] if self.tasks else [("none", f"{place}: no task; give at least one")]
        seen: set[str] = set()
        for task in (*self.tasks, *self.probes):
            if task.name in seen:
                found.append(
                    (task.name, f"{place}: two tasks are called '{task.name}'; rename one")
                )
            seen.add(task.name)
            first = self.tasks[0] if self.tasks else task
            if task.shape != first.shape:
                found.append(
                    (
                        "shape",
                        f"{place}: inputs of task '{task.name}' have shape {task.shape}, those of "
                        f"'{first.name}' {first.shape}; give all one shape (in a scenario: "
                        "shape = [...] under [stream])",
                    )
                )
            elif task.dtype != first.dtype:
                found.append(
                    (
                        "type",
                        f"{place}: inputs of task '{task.name}' are {task.dtype}, those of "
                        f"'{first.name}' {first.dtype}; give all token ids or none",
                    )
                )
        problems = one_per_cause(found)
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
        """Return one row per task, probes last: position, task, group, relation, sizes.

        The row of a task other than classification also has its ``objective``.

        >>> import torch
        >>> toy = Task("toy", (torch.eye(2), [0, 1]), (torch.eye(2), [0, 1]), ("a", "b"))
        >>> TaskStream([toy]).table()[0]["n_train"]
        2
        """
        return [
            {
                "position": position,
                "task": task.name,
                "group": task.group,
                "derived_from": task.derived_from,
                "relation": task.relation,
                "n_train": task.n_train,
                "n_test": task.n_test,
                "n_classes": task.n_classes,
                "probe": position >= len(self),
                **_objective(task),
            }
            for position, task in enumerate((*self.tasks, *self.probes))
        ]

    def __repr__(self) -> str:
        return describe(self.table(), self.name, self.shape)

    def in_memory(self) -> TaskStream:
        """Return the stream as tensors, for lazy data sets that read the same way each time."""
        tasks = [task.in_memory() for task in (*self.tasks, *self.probes)]
        return TaskStream(tasks[: len(self)], self.name, tasks[len(self) :])

    @checked()
    def validation_split(self, fraction: float, seed: int) -> TaskStream:
        """Return the stream with training sets split in two: ``test`` is held-out training data.

        It has no test data and no probes, so that selections with it do not depend on these. The
        split is stratified; see :func:`cl_moe.streams.validation.validation_split`.

        Raises:
            InputError: ``fraction`` is not between 0 and 1, or a task has one sample a class.

        >>> import torch
        >>> toy = Task("toy", (torch.eye(4), [0, 1, 0, 1]), (torch.eye(4), [0, 1, 0, 1]), "ab")
        >>> TaskStream([toy]).validation_split(0.5, seed=0)[0].n_test
        2
        """
        return TaskStream(validation_split(self.tasks, fraction, seed), self.name)

    def to_benchmark(self) -> CLScenario[Any]:
        """Return an Avalanche benchmark; see :func:`cl_moe.streams.benchmark.to_benchmark`."""
        from cl_moe.streams.benchmark import to_benchmark

        return to_benchmark((*self.tasks, *self.probes))

    @classmethod
    def from_benchmark(cls, scenario: CLScenario[Any], name: str | None = None) -> TaskStream:
        """Return the stream in any Avalanche benchmark; see :mod:`cl_moe.streams.benchmark`."""
        from cl_moe.streams.benchmark import from_benchmark

        tasks = from_benchmark(scenario)
        return cls(tasks, type(scenario).__name__ if name is None else name)


def _objective(task: Task) -> dict[str, str]:
    """Return a further column of a task that is no classification."""
    known = isinstance(task.objective, Classification)
    return {} if known else {"objective": task.objective.name}
