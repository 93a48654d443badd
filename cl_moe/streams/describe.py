"""A stream of tasks as a text table."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cl_moe.streams.task import TaskStream

__all__ = ("describe",)


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
    rows = stream.table()
    wide = {key: max(len(str(row[key])) for row in rows) for key in rows[0]}
    return "\n".join([f"{head}, inputs {stream.shape}", *(_line(row, wide) for row in rows)])


def _line(row: dict[str, Any], wide: dict[str, int]) -> str:
    parts = [
        f"  {row['position']:>{wide['position']}} {row['task']:<{wide['task']}}",
        f"{row['n_classes']:>{wide['n_classes']}} classes",
        f"train {row['n_train']:>{wide['n_train']}}",
        f"test {row['n_test']:>{wide['n_test']}}",
        f"[{row['group']}]" if row["group"] else "",
        " of ".join(filter(None, (row["relation"], row["derived_from"]))),
        "(probe)" if row["probe"] else "",
    ]
    return "  ".join(part for part in parts if part)


def _count(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
