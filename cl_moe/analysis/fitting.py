"""Splitting tables that are wider than the terminal."""

from __future__ import annotations

from cl_moe.analysis.tables import TableData

__all__ = ("fitting", "width")


def width(found: TableData) -> int:
    """Return the width of a table in characters, without breaking words or values.

    >>> from cl_moe.analysis.tables import Cell
    >>> width(TableData("t", ["average accuracy"], ["dense"], [[Cell("80.0 ± 1.1", True)]], ""))
    25
    """
    return sum(_widths(found)) + 1


def _widths(found: TableData) -> list[int]:
    """Return the minimum width of the first column and of each other one, with its border."""
    texts = [[found.first, *found.methods]]
    for column, title in enumerate(found.columns):
        cells = [row[column] for row in found.cells]
        texts.append([*title.split(), *(f"{c.text} *" if c.best else c.text for c in cells)])
    return [max(map(len, words)) + 3 for words in texts]


def fitting(found: TableData, room: int) -> list[TableData]:
    """Return a table, split into several with fewer columns if it is too wide.

    Args:
        found: the table.
        room: characters per line; a wider column gets its own table.

    Returns:
        Tables with the same rows, the title above the first, the note below the last.

    >>> from cl_moe.analysis.tables import Cell
    >>> cells = [[Cell("80.0"), Cell("7.0")]]
    >>> found = TableData("t", ["accuracy", "forgetting"], ["dense"], cells, "Note.")
    >>> [(part.title, part.columns, part.note) for part in fitting(found, 25)]
    [('t', ['accuracy'], ''), ('', ['forgetting'], 'Note.')]
    """
    first, *widths = _widths(found)
    parts: list[list[int]] = [[]]
    for column, wide in enumerate(widths):
        if parts[-1] and first + sum(widths[i] for i in parts[-1]) + wide + 1 > room:
            parts.append([])
        parts[-1].append(column)
    return [
        found._replace(
            title=found.title if part is parts[0] else "",
            columns=[found.columns[i] for i in part],
            cells=[[row[i] for i in part] for row in found.cells],
            note=found.note if part is parts[-1] else "",
        )
        for part in parts
    ]
