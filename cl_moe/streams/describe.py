"""A stream of tasks as a text table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

__all__ = ("describe",)


def describe(rows: Sequence[dict[str, Any]], name: str, shape: tuple[int, ...]) -> str:
    """Return a heading and a line a task: sizes, group, relation, origin.

    Args:
        rows: of :meth:`cl_moe.streams.stream.TaskStream.table`.
        name: of the stream.
        shape: of one input.

    >>> from cl_moe.streams.stream import TaskStream
    >>> from cl_moe.streams.task import Task
    >>> data = ([[0.0, 1.0], [1.0, 0.0]], [0, 1])
    >>> print(describe(TaskStream([Task("toy", data, data, "ab", "rich")]).table(), "few", (2,)))
    TaskStream 'few': 1 task, inputs (2,)
      0 toy  2 classes  train 2  test 2  [rich]
    """
    unseen = sum(row["probe"] for row in rows)
    probes = f" and {_count(unseen, 'probe')}" if unseen else ""
    head = f"TaskStream '{name}': {_count(len(rows) - unseen, 'task')}{probes}"
    wide = {key: max(len(str(row[key])) for row in rows) for key in rows[0]}
    return "\n".join([f"{head}, inputs {shape}", *(_line(row, wide) for row in rows)])


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
