"""The table of methods and metrics, with intervals; the significantly best value is marked."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from cl_moe import escape
from cl_moe.analysis.best import RACED, clear_best
from cl_moe.analysis.data import StudyData
from cl_moe.analysis.divergence import diverged_methods
from cl_moe.analysis.metrics.names import METRICS, heading, metric_called
from cl_moe.analysis.notes import DIVERGED, STEPS, over_seeds, table_note
from cl_moe.analysis.stats import (
    RECORD,
    Interval,
    intervals,
    paired,
    summary,
    transfer_summary,
)
from cl_moe.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from rich.table import Table

__all__ = (
    "Cell", "TableData", "markdown", "numbered", "quantity", "rich_table", "table", "table_data",
    "transfer_tables",
)  # fmt: skip

Means = dict[tuple[str, str, str | None], Interval]

MAX_GROUPS = 4
WIDE, WIDEST = 8, 16  # most tasks of a transfer matrix that is printed with intervals, and without
NOT_REACHED = "not reached"
FIRST = ("average_accuracy", "forgetting", "learning_transfer")
LAST = ("probe_accuracy", "samples_to_target", "parameters", "experts", "steps")


class Cell(NamedTuple):
    """A printed value, and whether it is significantly the best in its column."""

    text: str
    best: bool = False


class TableData(NamedTuple):
    """A table as text: one row per method, ``cells[row][column]``, and a note below.

    ``first`` is the heading of the rows.
    """

    title: str
    columns: list[str]
    methods: list[str]
    cells: list[list[Cell]]
    note: str
    first: str = "method"


def quantity(value: float, unit: str, *, sign: bool = False) -> str:
    """Format a value in its unit: accuracies in points, counts with k, M, G.

    >>> quantity(0.874, "share"), quantity(-0.0131, "share", sign=True)
    ('87.4', '-1.3')
    >>> quantity(52_300, "count"), quantity(6, "count"), quantity(0.25, "seconds")
    ('52.3k', '6', '0.25')
    >>> quantity(float("inf"), "examples"), quantity(float("nan"), "share")
    ('not reached', '')
    """
    if math.isnan(value):
        return ""
    if math.isinf(value):
        return NOT_REACHED
    plus = "+" if sign else ""
    if unit == "share":
        text = f"{100 * value:{plus}.1f}"
        return "0.0" if text in ("-0.0", "+0.0") else text
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if abs(value) >= size:
            return f"{value / size:{plus}.3g}{letter}"
    return f"{value:{plus}.3g}"


def table_data(data: StudyData, metrics: Sequence[str] | None = None) -> TableData:
    """Return the table's text.

    Args:
        data: the study.
        metrics: names of metrics, or ``package.module:object``; by default average accuracy (also
            against the baseline), forgetting, learning transfer, the average accuracy of up to four
            task groups, unseen tasks, costs, and third-party metrics.

    If runs diverged, the first column holds their number. Columns that are undefined for all
    methods are omitted. Values are means over seeds with their 95 % interval: ± for Student's t,
    [low, high] for the bootstrap; by default, costs have no interval. The best value of a column is
    marked if the interval of its difference to each other method, paired by seed, excludes 0 (never
    with fewer than three seeds). Methods of type joint are not compared.

    Raises:
        InputError: a metric is not known.
    """
    if outside := [name for name in metrics or () if ":" in name]:
        data = replace(data, metrics=(*data.metrics, *outside))
    means = intervals(summary(data))
    methods = [m for m in data.method_names if any(m == key[0] for key in means)]
    titles: list[str] = []
    columns: list[list[Cell]] = []
    diverged = diverged_methods(data)
    if metrics is None and diverged:
        titles.append("diverged")
        columns.append([Cell(_of_seeds(data, method, diverged.get(method))) for method in methods])
    for metric, group in _columns(data, means, metrics):
        found = {m: means[m, metric, group] for m in methods if (m, metric, group) in means}
        titles.append(group.replace("_", " ") if group else heading(metric, score=data.score))
        best = clear_best(data, found, metric, group)
        columns.append(_column(found, metric, methods, best, plain=metrics is None))
        if (metric, group) == ("average_accuracy", None) and data.baseline is not None:
            titles.append(f"against {data.baseline}")
            columns.append(_differences(data, methods))
    kept = [i for i, column in enumerate(columns) if any(cell.text for cell in column)]
    cells = [[columns[i][row] for i in kept] for row in range(len(methods))]
    has_groups = any(titles[i] == g.replace("_", " ") for i in kept for g in data.groups())
    note = table_note(data, {found.kind for found in means.values()}, has_groups)
    if diverged:
        note += f" {DIVERGED}"
    if metrics is None and any(titles[i] == heading("steps") for i in kept):
        note += f" {STEPS}"
    return TableData(data.name, [titles[i] for i in kept], methods, cells, note)


def _of_seeds(data: StudyData, method: str, count: int | None) -> str:
    runs = data.rows.loc[data.rows["method"] == method, "seed"].nunique()
    return f"{count} of {runs} seed{'s' if runs != 1 else ''}" if count else ""


def _columns(
    data: StudyData, means: Means, metrics: Sequence[str] | None
) -> list[tuple[str, str | None]]:
    known = {*METRICS, *(metric for _, metric, _ in means)}
    wrong = [name for name in metrics or () if name not in known]
    if wrong:
        raise InputError([f"metrics: no '{name}'; {did_you_mean(name, known)}" for name in wrong])
    wanted: list[tuple[str, str | None]] = [(name, None) for name in metrics or FIRST]
    if metrics is None:
        wanted += [("average_accuracy", group) for group in list(data.groups())[:MAX_GROUPS]]
        others = [metric for _, metric, _ in means if metric not in METRICS]
        wanted += [(m, None) for m in (*LAST, *others, *data.metrics) if metric_called(m)]
    defined = {(metric, g) for (_, metric, g), found in means.items() if found.seeds}
    return [column for column in dict.fromkeys(wanted) if column in defined]


def _column(
    found: dict[str, Interval], metric: str, methods: list[str], best: str | None, *, plain: bool
) -> list[Cell]:
    known = metric_called(metric)
    unit = known.unit if known else "count"
    alone = plain and unit not in RACED
    texts = {m: quantity(v.mean, unit) if alone else _text(v, unit) for m, v in found.items()}
    return [Cell(texts.get(method, ""), method == best) for method in methods]


def _text(found: Interval, unit: str, *, sign: bool = False) -> str:
    middle = quantity(found.mean, unit, sign=sign)
    if math.isnan(found.low) or (unit not in RACED and found.low == found.high):
        return middle
    if found.kind == "t":
        return f"{middle} ± {quantity((found.high - found.low) / 2, unit)}"
    low, high = (quantity(end, unit, sign=sign) for end in (found.low, found.high))
    return f"{middle} [{low}, {high}]"


def _differences(data: StudyData, methods: list[str]) -> list[Cell]:
    found = intervals(paired(data))
    keys = [(m, "average_accuracy", None) for m in methods]
    return [Cell(_text(found[key], "share", sign=True) if key in found else "") for key in keys]


def numbered(tasks: Sequence[str]) -> list[str]:
    """Return the tasks' names with their numbers from 0, unless the names contain them.

    >>> numbered(["mnist", "fashion"]), numbered(["000-fmnist", "001-mnist"])
    (['0 mnist', '1 fashion'], ['000-fmnist', '001-mnist'])
    """
    if all(re.match(rf"0*{number}\b", task) for number, task in enumerate(tasks)):
        return list(tasks)
    return [f"{number} {task}" for number, task in enumerate(tasks)]


def transfer_tables(data: StudyData) -> list[TableData]:
    """Return every method's transfer matrix as text: the row's task is learned before the column's.

    Columns have the numbers of the rows. Gains are in points, means over seeds, with their 95 %
    interval for up to eight tasks. For more than sixteen tasks there is no table.
    """
    tasks = data.stream_tasks
    if len(tasks) > WIDEST:
        return []
    frame = transfer_summary(data)
    note = (
        f"Gain in points of {data.score} on the column's task, learned after only the row's task, "
        "over single_task. "
    )
    note += (
        f"{over_seeds(data.pairs, frame['interval'])} Intervals are not corrected for multiple "
        "comparisons."
        if len(tasks) <= WIDE
        else "Means over seeds, without intervals."
    )
    tables = []
    for method, rows in frame.groupby("method", sort=False):
        columns = zip(*(rows[c] for c in ("after", "task", *RECORD, "interval")), strict=True)
        cells = {(i, j): Interval(*found) for i, j, *found in columns}
        texts = [[_gain(cells.get((i, j)), len(tasks)) for j in tasks] for i in tasks]
        numbers = [str(number) for number in range(len(tasks))]
        title = f"Transfer matrix of {method}"
        tables.append(
            TableData(title, numbers, numbered(tasks), texts, note, first="learned first")
        )
    return tables


def _gain(found: Interval | None, tasks: int) -> Cell:
    if found is None:
        return Cell("")
    shown = found if tasks <= WIDE else found._replace(low=math.nan, high=math.nan)
    return Cell(_text(shown, "share", sign=True))


def table(data: StudyData, metrics: Sequence[str] | None = None) -> Table:
    """Return the table for the terminal; the best value of a column is bold, with a star."""
    return rich_table(table_data(data, metrics))


def rich_table(found: TableData) -> Table:
    """Return a table's text for the terminal."""
    from rich.table import Table
    from rich.text import Text

    def text(words: str, style: str = "") -> Text:
        # Not markup: notes, names and intervals may hold square brackets.
        return Text(escape.line(words), style)

    shown = Table(
        title=text(found.title, "table.title") if found.title else None,
        caption=text(found.note, "table.caption") if found.note else None,
        caption_justify="left",
    )
    shown.add_column(text(found.first), no_wrap=True)
    for column in found.columns:
        shown.add_column(text(column), justify="right")
    for method, cells in zip(found.methods, found.cells, strict=True):
        texts = [text(f"{c.text} *", "bold") if c.best else text(c.text) for c in cells]
        shown.add_row(text(method), *texts)
    return shown


def markdown(found: TableData) -> str:
    """Return the table in Markdown, its note below.

    >>> print(markdown(TableData("t", ["accuracy"], ["dense"], [[Cell("80.0", True)]], "Note.")))
    | method | accuracy |
    |---|---:|
    | dense | **80.0** * |
    <BLANKLINE>
    Note.
    """
    written = escape.markdown
    lines = [
        "| " + " | ".join(map(written, [found.first, *found.columns])) + " |",
        "|---|" + "---:|" * len(found.columns),
    ]
    for method, cells in zip(found.methods, found.cells, strict=True):
        texts = [f"**{written(c.text)}** *" if c.best else written(c.text) for c in cells]
        lines.append("| " + " | ".join([written(method), *texts]) + " |")
    return "\n".join([*lines, *(["", written(found.note)] if found.note else [])])
