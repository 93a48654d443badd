"""Atomic writing of files, and tables that are checked when read."""

from __future__ import annotations

import csv
import gzip
import io
import json
import math
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cl_moe.errors import InputError
from cl_moe.storage import replace_file
from cl_moe.unpacking import read_gzip

__all__ = (
    "Column", "json_text", "read_json", "read_json_lines", "read_table", "table_text",
    "write_json", "write_json_lines", "write_table", "write_text",
)  # fmt: skip


MOST = 2**53
"""The largest whole number in a table."""


def write_text(path: Path, text: str) -> None:
    """Write a file atomically: a reader sees the old or the new content.

    A name that ends in ``.gz`` means compression, without a time stamp: equal text gives equal
    bytes.
    """
    content = text.encode("utf-8")
    replace_file(path, _packed(content) if path.suffix == ".gz" else content)


def _packed(content: bytes) -> bytes:
    buffer = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", fileobj=buffer, mtime=0) as file:
        file.write(content)
    return buffer.getvalue()


def write_json(path: Path, content: Any) -> None:
    """Write a JSON file, indented, floats with all their digits."""
    write_text(path, json_text(content))


def json_text(content: Any) -> str:
    """Return the text of :func:`write_json`."""
    return json.dumps(content, indent=2) + "\n"


def write_json_lines(path: Path, items: Iterable[Any]) -> None:
    """Write one JSON value per line."""
    write_text(path, "".join(json.dumps(item) + "\n" for item in items))


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON file that holds an object.

    Raises:
        InputError: no such file, or it is not that; with line and column.
    """
    content = _parse(_read(path), path, line=None)
    if not isinstance(content, dict):
        raise InputError(f"{path}: holds {_kind(content)}; an object {{...}} is wanted")
    return content


def read_json_lines(path: Path) -> list[dict[str, Any]]:
    """Read a file with one JSON object per line.

    Raises:
        InputError: as :func:`read_json`.
    """
    items: list[dict[str, Any]] = []
    text = _read(path)
    if not text:
        return items
    for number, line in enumerate(text.removesuffix("\n").split("\n"), start=1):
        item = _parse(line, path, number)
        if not isinstance(item, dict):
            raise InputError(f"{path}, line {number}: {_kind(item)}; an object {{...}} is wanted")
        items.append(item)
    return items


class Column:
    """A column of a table: its name, the reader of cells, and a description of valid cells.

    Args:
        name: in the table's first line.
        read: cell -> value; raises ValueError for a cell that is not right.
        wanted: a description of valid cells, for errors.
        empty: whether an empty cell is right (and is None).
        later: whether the column came in a later version, so that a table may lack it (all None).
    """

    def __init__(
        self,
        name: str,
        read: Callable[[str], Any],
        wanted: str,
        *,
        empty: bool = False,
        later: bool = False,
    ) -> None:
        self.name, self.wanted, self.later = name, wanted, later
        self._read, self._empty = read, empty or later

    def value(self, cell: str) -> Any:
        """Return the value of a cell."""
        if cell == "" and self._empty:
            return None
        return self._read(cell)

    @classmethod
    def text(cls, name: str) -> Column:
        """Return a column of words."""
        return cls(name, _word, "a word")

    @classmethod
    def whole(cls, name: str, *, least: int, empty: bool = False) -> Column:
        """Return a column of whole numbers, ``least`` or more."""
        return cls(name, lambda c: _whole(c, least), f"a whole number from {least}", empty=empty)

    @classmethod
    def number(cls, name: str) -> Column:
        """Return a column of numbers; nan and inf are numbers: a loss that diverged is a result."""
        return cls(name, float, "a number")

    @classmethod
    def amount(cls, name: str, unit: str, *, later: bool = False) -> Column:
        """Return a column of amounts of something, 0 or more."""
        return cls(name, _amount, f"{unit}, 0 or more", later=later)


def write_table(path: Path, columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV table; a float has the digits that give the same float back.

    >>> import tempfile
    >>> path = Path(tempfile.mkdtemp()) / "rows.csv"
    >>> write_table(path, [Column.number("value")], [{"value": 0.1 + 0.2}])
    >>> read_table(path, [Column.number("value")])
    [{'value': 0.30000000000000004}]
    """
    write_text(path, table_text(columns, rows))


def table_text(columns: Sequence[Column], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return the text of :func:`write_table`."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [c.name for c in columns], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def read_table(path: Path, columns: Sequence[Column]) -> list[dict[str, Any]]:
    """Read a CSV table with exactly these columns, all of them or those before the later ones.

    Raises:
        InputError: with the line and column of each cell that is not right (the first ten).
    """
    lines = csv.reader(io.StringIO(_read(path), newline=""))
    try:
        header = next(lines, [])
        there = [column for column in columns if not column.later or column.name in header]
        if header != [column.name for column in there]:
            raise InputError(
                f"{path}, line 1: the columns are {','.join(header) or 'missing'}; "
                f"they should be {','.join(column.name for column in columns)}"
            )
        absent = {column.name: None for column in columns if column not in there}
        rows, problems = [], []
        for cells in lines:
            row, wrong = _row(cells, there)
            rows.append(row | absent)
            problems += [f"{path}, line {lines.line_num}{problem}" for problem in wrong]
    except csv.Error as error:
        raise InputError(f"{path}, line {lines.line_num}: {error}; is it a CSV file?") from error
    if problems:
        more = [f"{path}: and {len(problems) - 10} more"] if len(problems) > 10 else []
        raise InputError(problems[:10] + more)
    return rows


def _row(cells: list[str], columns: Sequence[Column]) -> tuple[dict[str, Any], list[str]]:
    if len(cells) != len(columns):
        return {}, [f": {len(cells)} cells where {len(columns)} are wanted; is the file cut off?"]
    row, wrong = {}, []
    for column, cell in zip(columns, cells, strict=True):
        try:
            row[column.name] = column.value(cell)
        except ValueError:  # noqa: PERF203 - every bad cell is to be told
            wrong.append(f", column '{column.name}': '{cell}' is not {column.wanted}")
    return row, wrong


def _read(path: Path) -> str:
    try:
        content = read_gzip(path) if path.suffix == ".gz" else path.read_bytes()
        return content.decode("utf-8")
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file") from error
    except IsADirectoryError as error:
        raise InputError(f"{path}: a folder; a file is wanted") from error
    except NotADirectoryError as error:
        raise InputError(f"{path.parent}: not a folder; a folder is wanted") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path}: not whole ({error}); is it a gzip file?") from error
    except OSError as error:
        raise InputError(
            f"{path}: cannot be read ({error.strerror or error}); mend that, and try again"
        ) from error
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: byte {error.start} is not UTF-8; is it a text file?") from error


def _parse(text: str, path: Path, line: int | None) -> Any:
    try:
        value = json.loads(text)
        if "\\ud" in text.lower():  # half a pair of surrogates is no text that can be printed
            json.dumps(value, ensure_ascii=False).encode()
        return value
    except RecursionError as error:
        raise InputError(f"{path}: nested too deeply; was it written by cl-moe?") from error
    except json.JSONDecodeError as error:
        where = f"line {line or error.lineno}, column {error.colno}"
        raise InputError(f"{path}, {where}: not JSON ({error.msg}); is it cut off?") from error
    except ValueError as error:  # a number of thousands of digits, or no Unicode
        raise InputError(f"{path}: not JSON that can be read ({error!s:.80})") from error


def _kind(value: Any) -> str:
    return {list: "a list", str: "a text", type(None): "null"}.get(type(value), "a number")


def _word(cell: str) -> str:
    if not cell:
        raise ValueError(cell)
    return cell


def _whole(cell: str, least: int) -> int:
    value = int(cell)
    if not least <= value <= MOST or str(value) != cell:
        raise ValueError(cell)
    return value


def _amount(cell: str) -> float:
    value = float(cell)
    if not (value >= 0 and math.isfinite(value)):
        raise ValueError(cell)
    return value
