"""A table of numbers: a CSV or TSV file with a header and a column of labels or targets."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from cl_moe.errors import InputError, one_per_cause
from cl_moe.streams.rows import column_problems
from cl_moe.streams.scaling import standardised
from cl_moe.streams.sources.base import Source, SourceData, encode, find_path, split_apart

__all__ = ("Csv",)

LEAVE_OUT = "correct it, or leave the column out of features"


@dataclass(frozen=True)
class Csv(Source):
    """A CSV file with a header: a column of labels (or targets), and columns of numbers.

    Args:
        path: the file; a relative path is looked up in the data folder, then the current one.
        label: name of the column of labels (texts or numbers). For another objective than
            classification the column of targets, or a list of several.
        features: names of the columns to use; by default all but the label.
        test_path: a second file with the test set; by default ``test_fraction`` of each
            class is held out, the same rows in every run.
        test_fraction: see ``test_path``.
        delimiter: between columns; by default a tab for files ending in ``.tsv``, else a comma.
        standardise: shift and scale every column by the training set's mean and deviation; constant
            columns become 0. Targets are not changed.
        objective: ``classification``; ``regression``, targets are numbers; or ``multilabel``, each
            target is 0 or 1. For the latter two, ``test_fraction`` of all rows is held out.

    >>> Csv(path="iris.csv", label="species").label
    'species'
    >>> Csv(path="stsb.csv", label="similarity", objective="regression").targets
    ('similarity',)
    """

    path: str
    label: str | tuple[str, ...]
    features: tuple[str, ...] = ()
    test_path: str | None = None
    test_fraction: float = 0.2
    delimiter: str | None = None
    standardise: bool = True
    objective: Literal["classification", "regression", "multilabel"] = "classification"

    @property
    def targets(self) -> tuple[str, ...]:
        """Names of the target columns."""
        return (self.label,) if isinstance(self.label, str) else self.label

    def __post_init__(self) -> None:
        problems = []
        if self.objective == "classification" and not isinstance(self.label, str):
            problems.append(
                f"label: {list(self.label)} are several columns; give one, "
                "or objective = 'multilabel' or 'regression'"
            )
        if not self.targets or len(set(self.targets)) < len(self.targets):
            problems.append(f"label: {list(self.targets)}; give one column or more, each once")
        if not 0 < self.test_fraction < 1:
            problems.append(f"test_fraction: {self.test_fraction} is not between 0 and 1")
        if self.delimiter is not None and len(self.delimiter) != 1:
            problems.append(f"delimiter: {self.delimiter!r} is not one character")
        problems += [
            f"features: '{name}' is the label column; remove it"
            for name in self.targets
            if name in self.features
        ]
        if len(set(self.features)) < len(self.features):
            problems.append(
                f"features: {list(self.features)} contains a column twice; give each once"
            )
        if problems:
            raise InputError(problems)

    def available(self, data_dir: Path | None) -> str | None:
        """Return None if the files exist."""
        for name in filter(None, (self.path, self.test_path)):
            path = find_path(name, data_dir)
            if not path.is_file():
                return f"{path} is not a file; correct path"
        return None

    def load(self, *, seed: int, data_dir: Path | None) -> SourceData:
        """Return vectors (N, columns) float32 and the labels' texts as classes."""
        x, read, features = self._read(find_path(self.path, data_dir), self.features)
        y, classes = (read, self.targets) if isinstance(read, Tensor) else encode(read)
        if self.test_path is not None:
            test_file = find_path(self.test_path, data_dir)
            test_x, test_read, _ = self._read(test_file, features)
            train_x, train_y = x, y
            test_y = self._numbered(test_read, classes, test_file)
        else:
            strata = torch.zeros(len(y)) if isinstance(read, Tensor) else y
            train, test = split_apart(strata, self.test_fraction)
            train_x, train_y, test_x, test_y = x[train], y[train], x[test], y[test]
        if self.standardise:
            train_x, test_x = standardised(train_x, test_x)
        train_x, test_x = train_x.to(torch.float32), test_x.to(torch.float32)
        return SourceData(train_x, train_y, test_x, test_y, classes, self.objective)

    def _numbered(self, read: Tensor | list[str], classes: Sequence[str], path: Path) -> Tensor:
        """Return the targets of a second file; labels are those of the first."""
        if isinstance(read, Tensor):
            return read
        unknown = sorted(set(read) - set(classes))
        if unknown:
            raise InputError(
                f"{path}, column '{self.label}': label '{unknown[0]}' is not in the "
                "training file; add training rows or remove it"
            )
        number = {name: k for k, name in enumerate(classes)}
        return torch.tensor([number[word] for word in read])

    def _read(
        self, path: Path, features: Sequence[str]
    ) -> tuple[Tensor, Tensor | list[str], tuple[str, ...]]:
        """Return the columns ``features`` (all others than the label if none), labels, names.

        The columns are float64: a time in seconds would lose its digits in float32. Labels are
        texts; targets of another objective are numbers (N, columns), float32.
        """
        delimiter = self.delimiter or ("\t" if path.suffix == ".tsv" else ",")
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, delimiter=delimiter)
                header = next(reader, [])
                rows = [row for row in reader if row]
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
        wanted = self._wanted(path, header, rows, features)
        values, targets = self._values(rows, header, wanted, path)
        x = torch.tensor(values, dtype=torch.float64)
        if self.objective != "classification":
            return x, torch.tensor(targets, dtype=torch.float32), wanted
        at = header.index(self.targets[0])
        return x, [row[at].strip() for row in rows], wanted

    def _wanted(
        self, path: Path, header: list[str], rows: list[list[str]], features: Sequence[str]
    ) -> tuple[str, ...]:
        """Return the names of the columns of inputs; the header must have these and the labels."""
        wanted = tuple(features) or tuple(name for name in header if name not in self.targets)
        problems = column_problems(path, header, (*self.targets, *wanted))
        if not rows:
            problems.append(f"{path}: no row below the header; add examples")
        if problems:
            raise InputError(problems)
        return wanted

    def _values(
        self, rows: list[list[str]], header: list[str], wanted: Sequence[str], path: Path
    ) -> tuple[list[list[float]], list[list[float]]]:
        """Return the numbers in the columns ``wanted``, and in those of targets, if they are."""
        position = {name: k for k, name in enumerate(header)}
        columns = [position[name] for name in wanted]
        at = [position[name] for name in self.targets]
        values, targets = [], []
        found: list[tuple[str, str]] = []

        def numbers(row: list[str], place: str, of: list[int], hint: str) -> list[float]:
            cells = [(row[c], f"{place}, column '{header[c]}'") for c in of]
            return [_number(text, where, hint, found) for text, where in cells]

        for number, row in enumerate(rows, start=2):
            place = f"{path}, row {number}"
            if len(row) != len(header):
                wide = f"{len(row)} values for {len(header)} columns"
                found.append(("length", f"{place}: {wide}; correct it"))
                continue
            if self.objective != "classification":
                targets.append(numbers(row, place, at, "correct it"))
            elif not row[at[0]].strip():
                found.append(("label", f"{place}, column '{self.label}': no label; give one"))
            values.append(numbers(row, place, columns, LEAVE_OUT))
        if found:
            raise InputError(one_per_cause(found))
        return values, targets


def _number(text: str, place: str, hint: str, found: list[tuple[str, str]]) -> float:
    """Return a cell's number; if it is not a number, add a problem with a hint."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        sentence = f"{text!r} is not a finite number; {hint}"
        found.append((place.partition(", column ")[2], f"{place}: {sentence}"))
    return value
