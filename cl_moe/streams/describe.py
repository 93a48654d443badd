"""A stream of tasks as a text table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cl_moe.objectives.classification import Classification

if TYPE_CHECKING:
    from cl_moe.streams.task import Task, TaskStream

__all__ = ("describe", "table")

ROW = ("position", "task", "n_classes", "n_train", "n_test", "outputs")
"""Columns that are printed one below the other."""


def describe(stream: TaskStream) -> str:
    """Return a heading and a line a task: sizes, group, relation, origin.

    >>> import torch
    >>> from cl_moe.streams.task import Task, TaskStream
    >>> toy = Task("toy", (torch.eye(2), [0, 1]), (torch.eye(2), [0, 1]), ("a", "b"), "rich")
    >>> print(describe(TaskStream([toy])))
    TaskStream 'stream': 1 task, inputs (2,)
      0 toy  2 classes  train 2  test 2  [rich]
    """
    probes = f" and {_count(len(stream.probes), 'probe')}" if stream.probes else ""
    head = f"TaskStream '{stream.name}': {_count(len(stream), 'task')}{probes}"
    rows = table(stream)
    for row, task in zip(rows, (*stream, *stream.probes), strict=True):
        row["outputs"] = f" {task.objective.noun[task.n_classes != 1]}"
    wide = {key: max(len(str(row[key])) for row in rows) for key in ROW}
    return "\n".join([f"{head}, inputs {stream.shape}", *(_line(row, wide) for row in rows)])


def table(stream: TaskStream) -> list[dict[str, Any]]:
    """Return one row a task, probes last; see :meth:`cl_moe.streams.task.TaskStream.table`."""
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
            "probe": position >= len(stream),
            **_objective(task),
        }
        for position, task in enumerate((*stream.tasks, *stream.probes))
    ]


def _objective(task: Task) -> dict[str, str]:
    """Return a column for a task that is no classification."""
    known = isinstance(task.objective, Classification)
    return {} if known else {"objective": task.objective.name}


def _line(row: dict[str, Any], wide: dict[str, int]) -> str:
    parts = [
        f"  {row['position']:>{wide['position']}} {row['task']:<{wide['task']}}",
        f"{row['n_classes']:>{wide['n_classes']}}{row['outputs']:<{wide['outputs']}}",
        f"train {row['n_train']:>{wide['n_train']}}",
        f"test {row['n_test']:>{wide['n_test']}}",
        f"[{row['group']}]" if row["group"] else "",
        " of ".join(filter(None, (row["relation"], row["derived_from"]))),
        "(probe)" if row["probe"] else "",
    ]
    return "  ".join(part for part in parts if part)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
