"""A stream of tasks as a text table."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from cl_moe.objectives.classification import Classification
from cl_moe.objectives.named import OBJECTIVES

__all__ = ("describe",)

ROW = ("position", "task", "n_classes", "n_train", "n_test", "outputs")
"""Columns that are printed one below the other."""


def describe(rows: Sequence[dict[str, Any]], name: str, shape: tuple[int, ...]) -> str:
    """Return a heading and a line per task: sizes, group, relation, origin.

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
    lines = [{**row, "outputs": f" {_outputs(row)}"} for row in rows]
    wide = {key: max(len(str(line[key])) for line in lines) for key in ROW}
    return "\n".join([f"{head}, inputs {shape}", *(_line(line, wide) for line in lines)])


def _outputs(row: dict[str, Any]) -> str:
    """Return the noun for the outputs of a row's task."""
    noun = OBJECTIVES[row.get("objective", Classification.name)].noun
    return noun[row["n_classes"] != 1]


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
