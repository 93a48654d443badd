"""The columns of a study's tables."""

from __future__ import annotations

from collections.abc import Sequence

from cl_moe.runs.folder.files import Column

__all__ = ("PAIR_COLUMNS", "ROW_COLUMNS", "TIMING_COLUMNS", "TUNING_COLUMNS", "column_names")

ROW_COLUMNS = (
    Column.text("method"),
    Column.whole("seed", least=0),
    Column.whole("after_task", least=-1),
    Column.text("task"),
    Column.text("metric"),
    Column.number("value"),
    Column.whole("epoch", least=0, empty=True),
)
TIMING_COLUMNS = (
    Column.text("method"),
    Column.whole("seed", least=0),
    Column.whole("after_task", least=0),
    Column.amount("train_seconds", "seconds"),
    Column.amount("decision_seconds", "seconds"),
    Column.amount("eval_seconds", "seconds"),
    Column.amount("cpu_seconds", "seconds", later=True),
    Column.amount("peak_memory", "MiB", later=True),
)
TUNING_COLUMNS = (
    Column.text("method"),
    Column.whole("setting", least=0),
    Column.whole("seed", least=0),
    Column.text("parameters"),
    Column.number("value"),
    Column.text("chosen"),
)
PAIR_COLUMNS = (
    Column.text("method"),
    Column.whole("seed", least=0),
    Column.text("after"),
    Column.text("task"),
    Column.number("value"),
)


def column_names(columns: Sequence[Column]) -> list[str]:
    """Return the names of columns.

    >>> column_names(PAIR_COLUMNS)
    ['method', 'seed', 'after', 'task', 'value']
    """
    return [column.name for column in columns]
