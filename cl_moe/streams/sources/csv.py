"""A table of numbers: a CSV or TSV file with a header and a column of labels."""

from __future__ import annotations

import csv
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cl_moe.errors import InputError, did_you_mean, one_a_cause
from cl_moe.streams.scaling import standardised
from cl_moe.streams.sources.base import Source, SourceData, encode, find_path, split_apart

__all__ = ("Csv",)


@dataclass(frozen=True)
class Csv(Source):
    """A CSV file with a header: a column of labels, and columns of numbers.

    Args:
        path: the file; a relative path is looked up in the data folder, then the current one.
        label: name of the column of labels (texts or numbers).
        features: names of the columns to use; all others than the label, where left out.
        test_path: a second file with the test set; where left out, ``test_fraction`` of each
            class is held out, the same rows in every run.
        test_fraction: see ``test_path``.
        delimiter: between columns; a tab for files ending in ``.tsv``, where left out.
        standardise: shift and scale every column by the training set's mean and deviation; one
            that does not vary becomes 0.

    >>> Csv(path="iris.csv", label="species").label
    'species'
    """

    path: str
    label: str
    features: tuple[str, ...] = ()
    test_path: str | None = None
    test_fraction: float = 0.2
    delimiter: str | None = None
    standardise: bool = True

    def __post_init__(self) -> None:
        problems = []
        if not 0 < self.test_fraction < 1:
            problems.append(f"test_fraction: {self.test_fraction} is not between 0 and 1")
        if self.delimiter is not None and len(self.delimiter) != 1:
            problems.append(f"delimiter: {self.delimiter!r} is not one character")
        if self.label in self.features:
            problems.append(f"features: '{self.label}' is the label, which is to be learned")
        if len(set(self.features)) < len(self.features):
            problems.append(f"features: {list(self.features)} has a column twice; give each once")
        if problems:
            raise InputError(problems)

    def available(self, data_dir: Path | None) -> str | None:
        """Return None where the files exist."""
        for name in filter(None, (self.path, self.test_path)):
            path = find_path(name, data_dir)
            if not path.is_file():
                return f"{path} is not a file; correct path"
        return None

    def load(self, *, seed: int, data_dir: Path | None) -> SourceData:
        """Return vectors (N, columns) float32 and the labels' texts as classes."""
        x, words, features = self._read(find_path(self.path, data_dir), self.features)
        y, classes = encode(words)
        if self.test_path is not None:
            test_file = find_path(self.test_path, data_dir)
            test_x, test_words, _ = self._read(test_file, features)
            unknown = sorted(set(test_words) - set(classes))
            if unknown:
                raise InputError(
                    f"{test_file}, column '{self.label}': label '{unknown[0]}' is not in the "
                    "training file; add training rows or drop it"
                )
            test_y = torch.tensor([classes.index(word) for word in test_words])
            train_x, train_y = x, y
        else:
            train, test = split_apart(y, self.test_fraction)
            train_x, train_y, test_x, test_y = x[train], y[train], x[test], y[test]
        if self.standardise:
            train_x, test_x = standardised(train_x, test_x)
        return SourceData(
            train_x.to(torch.float32), train_y, test_x.to(torch.float32), test_y, classes
        )

    def _read(
        self, path: Path, features: Sequence[str]
    ) -> tuple[Tensor, list[str], tuple[str, ...]]:
        """Return the columns ``features`` (all others than the label if none), labels, names.

        The columns are float64: a time in seconds would lose its digits in float32.
        """
        delimiter = self.delimiter or ("\t" if path.suffix == ".tsv" else ",")
        try:
            with path.open(encoding="utf-8-sig", newline="") as file:
                reader = csv.reader(file, delimiter=delimiter)
                header = next(reader, [])
                rows = [row for row in reader if row]
        except UnicodeDecodeError as error:
            raise InputError(f"{path}: not UTF-8 text ({error}); save it as UTF-8") from error
        wanted = tuple(features) or tuple(name for name in header if name != self.label)
        problems = [
            f"{path}: no column '{name}'; {did_you_mean(name, header)}"
            for name in (self.label, *wanted)
            if name not in header
        ]
        problems += [
            f"{path}: two columns are called '{name}'; rename one"
            for name in sorted({self.label, *wanted})
            if header.count(name) > 1
        ]
        if not rows:
            problems.append(f"{path}: no row below the header; add examples")
        if problems:
            raise InputError(problems)
        values = self._values(rows, header, wanted, path)
        words = [row[header.index(self.label)].strip() for row in rows]
        return torch.tensor(values, dtype=torch.float64), words, wanted

    def _values(
        self, rows: list[list[str]], header: list[str], wanted: Sequence[str], path: Path
    ) -> list[list[float]]:
        columns = [header.index(name) for name in wanted]
        at = header.index(self.label)
        values = []
        found: list[tuple[str, str]] = []
        for number, row in enumerate(rows, start=2):
            place = f"{path}, row {number}"
            if len(row) != len(header):
                wide = f"{len(row)} values for {len(header)} columns"
                found.append(("length", f"{place}: {wide}; mend it"))
                continue
            if not row[at].strip():
                found.append(("label", f"{place}, column '{self.label}': no label; give one"))
            at_columns = [(row[c], f"{place}, column '{header[c]}'") for c in columns]
            values.append([_number(text, where, found) for text, where in at_columns])
        if found:
            raise InputError(one_a_cause(found))
        return values


def _number(text: str, place: str, found: list[tuple[str, str]]) -> float:
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        sentence = f"{text!r} is not a finite number; mend it, or leave the column out of features"
        found.append((place.partition(", column ")[2], f"{place}: {sentence}"))
    return value
