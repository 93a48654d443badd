"""Rows for prediction: a table of numbers, arrays or images, with or without labels."""

from __future__ import annotations

import csv
import math
import zipfile
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from cl_moe.errors import InputError, did_you_mean
from cl_moe.streams.shapes import fit, to_float
from cl_moe.unpacking import array, open_image

__all__ = ("Rows", "column_problems", "columns_of", "read_rows")

_IMAGES = (".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp")
_MOST = 20
_MOST_NAMED = 1000
"""Columns among which a similar name is looked for."""


@dataclass(frozen=True, eq=False)
class Rows:
    """Rows in the form of a model's input.

    Args:
        x: (N, *shape) float32.
        names: the name of each row: its number, from 0, or its file.
        title: the kind of names: ``row`` or ``file``.
        labels: one text per row, where they are known.
    """

    x: Tensor
    names: Sequence[str]
    title: str = "row"
    labels: Sequence[str] | None = None


def read_rows(
    path: Path, shape: Sequence[int], label: str | None = None, features: Sequence[str] = ()
) -> Rows:
    r"""Read rows from a ``.csv`` or ``.tsv`` file, an ``.npz`` file, or a folder of images.

    Columns and arrays are taken as they are, bytes scaled to [0, 1]; images are brought to the size
    and channels of ``shape``. Labels are the column ``label``, the array ``y``, or the names of
    subfolders.

    Args:
        path: the file or folder.
        shape: of a row.
        label: name of the column of labels, which is none of the features.
        features: names of the columns to take, in this order; by default all others.

    Raises:
        InputError: it cannot be read, does not fit, or holds NaN; with line and column.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     path = Path(folder, "rows.csv")
    ...     _ = path.write_text("a,kind,b\n1,left,2\n")
    ...     rows = read_rows(path, shape=(2,), label="kind")
    >>> rows.x.tolist(), rows.labels
    ([[1.0, 2.0]], ['left'])
    """
    if path.is_dir():
        return _images(path, shape)
    if not path.exists():
        raise InputError(f"{path}: no such file; give a .csv or .npz file or a folder of images")
    if path.suffix in (".csv", ".tsv"):
        return _table(path, shape, label, features)
    if path.suffix == ".npz":
        return _arrays(path, shape)
    raise InputError(
        f"{path}: neither .csv, .tsv or .npz nor a folder of images; give one of these"
    )


def columns_of(path: Path) -> list[str]:
    """Return the names of a table's columns."""
    return _lines(path)[0]


def column_problems(path: Path, header: Sequence[str], asked: Sequence[str]) -> list[str]:
    """Return why columns cannot be taken from a table: they are missing, or there twice.

    >>> column_problems(Path("t.csv"), ["a", "b", "b"], ["b", "c"])
    ["t.csv: no column 'c'; known: a, b", "t.csv: two columns are called 'b'; rename one"]
    """
    counts = Counter(header)
    missing = [name for name in asked if name not in counts]
    many = f"it has {len(header)} columns" if len(header) > _MOST_NAMED else ""
    problems = [
        f"{path}: no column '{name}'; {many or did_you_mean(name, counts)}" for name in missing
    ]
    twice = (name for name in sorted(set(asked)) if counts[name] > 1)
    return problems + [f"{path}: two columns are called '{name}'; rename one" for name in twice]


def _lines(path: Path) -> tuple[list[str], list[tuple[int, list[str]]]]:
    """Return a table's header, and its rows with their lines."""
    delimiter = "\t" if path.suffix == ".tsv" else ","
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, delimiter=delimiter)
            header = next(reader, [])
            return header, [(reader.line_num, row) for row in reader if row]
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
    except csv.Error as error:
        raise InputError(f"{path}: not a table ({error}); save it as CSV") from error


def _table(path: Path, shape: Sequence[int], label: str | None, features: Sequence[str]) -> Rows:
    header, rows = _lines(path)
    wanted = list(features) or [name for name in header if name != label]
    asked = [*wanted, *([] if label is None else [label])]
    problems = column_problems(path, header, asked)
    if not rows:
        problems.append(f"{path}: no row below the header; add rows")
    if not problems and len(wanted) != math.prod(shape):
        hint = "" if label is not None else "; if one of them is the label, name it with --label"
        problems.append(
            f"{path}: {len(wanted)} columns of features, but the model takes rows of "
            f"{math.prod(shape)} values{hint}"
        )
    if problems:
        raise InputError(problems)
    position = {name: k for k, name in enumerate(header)}
    at = [position[name] for name in wanted]
    values = []
    for line, row in rows:
        if len(row) != len(header):
            problems.append(f"{path}, line {line}: {len(row)} values for {len(header)} columns")
            continue
        values.append([_number(row[k]) for k in at])
        problems += [
            f"{path}, line {line}, column '{name}': {row[k]!r} is not a finite number; correct it"
            for name, k, value in zip(wanted, at, values[-1], strict=True)
            if not math.isfinite(value)
        ]
    if problems:
        raise InputError(_first(problems))
    labels = None if label is None else [row[position[label]].strip() for _, row in rows]
    x = torch.tensor(values, dtype=torch.float32).view(len(values), *shape)
    return Rows(x, [str(k) for k in range(len(values))], labels=labels)


def _number(cell: str) -> float:
    try:
        return float(cell)
    except ValueError:
        return math.nan


def _arrays(path: Path, shape: Sequence[int]) -> Rows:
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            if "x" not in archive:
                raise InputError(f"{path}: no array 'x'; it has {', '.join(archive) or 'none'}")
            x, y = (array(archive, name, path) if name in archive else None for name in "xy")
    except InputError:
        raise
    except (zipfile.BadZipFile, OSError, EOFError, TypeError, AttributeError, ValueError) as error:
        raise InputError(
            f"{path}: not an npz archive of plain arrays (pickled objects are not loaded); save it "
            "with numpy.savez"
        ) from error
    assert x is not None
    problems = []
    if x.dtype.kind not in "buif" or x.ndim < 2 or not x.size:
        problems.append(
            f"{path}, array 'x': {x.dtype} of shape {x.shape}; give numbers (N, ...), a row or more"
        )
    elif not np.isfinite(x).all():
        bad = int(np.argwhere(~np.isfinite(x))[0][0])
        problems.append(f"{path}, array 'x', row {bad}: holds NaN or infinity; clean or remove it")
    if y is not None and (y.dtype.kind not in "uiU" or y.ndim != 1 or y.shape != x.shape[:1]):
        problems.append(
            f"{path}, array 'y': {y.dtype} of shape {y.shape}; give whole numbers or texts, one "
            "per row, or remove it"
        )
    if problems:
        raise InputError(problems)
    labels = None if y is None else [str(word) for word in y]
    names = [str(k) for k in range(len(x))]
    return Rows(_fitted(_as_rows(x), shape, f"{path}, array 'x'"), names, labels=labels)


def _as_rows(array: np.ndarray) -> Tensor:
    """Return vectors or images as (N, d) or (N, C, H, W)."""
    keep = array.dtype == np.uint8 and array.ndim > 2
    x = torch.from_numpy(np.ascontiguousarray(array if keep else array.astype(np.float32)))
    if x.ndim == 3:
        return x.unsqueeze(1)
    if x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        return x.permute(0, 3, 1, 2).contiguous()
    return x


def _fitted(x: Tensor, shape: Sequence[int], place: str) -> Tensor:
    """Return rows in the shape of a model's; images are resized, nothing else is filled up."""
    x = to_float(x)
    if x.ndim == 4 and len(shape) == 3:
        return fit(x, shape, place)
    if x[0].numel() != math.prod(shape):
        raise InputError(
            f"{place}: rows of shape {tuple(x.shape[1:])}, but the model takes {tuple(shape)}; "
            "give rows of that shape"
        )
    return x.reshape(len(x), *shape)


def _images(folder: Path, shape: Sequence[int]) -> Rows:
    inside = sorted(path for path in folder.iterdir() if path.is_dir() and path.name[0] != ".")
    files = [path for place in (folder, *inside) for path in _image_files(place)]
    if not files:
        raise InputError(f"{folder}: no image ({', '.join(_IMAGES)}) in it or its subfolders")
    x, problems = list[Tensor](), list[str]()
    for path in files:
        try:
            x.append(_fitted(_image(path, shape), shape, str(path)))
        except InputError as error:  # noqa: PERF203 - all of them are told
            problems += error.problems
    if problems:
        raise InputError(_first(problems))
    labelled = all(path.parent != folder for path in files)
    labels = [path.parent.name for path in files] if labelled else None
    names = [path.relative_to(folder).as_posix() for path in files]
    return Rows(torch.cat(x), names, "file", labels)


def _image_files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in _IMAGES)


def _image(path: Path, shape: Sequence[int]) -> Tensor:
    """Return an image (1, C, H, W): grey where the model has one channel, or takes vectors."""
    colour = len(shape) == 3 and shape[0] == 3
    try:
        with open_image(path) as file:
            pixels = torch.from_numpy(np.array(file.convert("RGB" if colour else "L")))
    except (OSError, SyntaxError) as error:  # what Pillow makes of damaged files
        raise InputError(f"{path}: not a readable image ({error}); remove or replace it") from error
    return (pixels.permute(2, 0, 1) if colour else pixels.unsqueeze(0)).unsqueeze(0).contiguous()


def _first(problems: list[str]) -> list[str]:
    if len(problems) <= _MOST:
        return problems
    return [*problems[:_MOST], f"... and {len(problems) - _MOST} more"]
