"""Labelled sentences, or pairs of sentences, as frozen embeddings."""

from __future__ import annotations

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cl_moe.errors import InputError, did_you_mean, one_per_cause
from cl_moe.streams.sources import _embeddings
from cl_moe.streams.sources.base import Source, SourceData, encode, find_path, split_apart

__all__ = ("Text",)


@dataclass(frozen=True)
class Text(Source):
    """Labelled texts as frozen sentence embeddings (384,), or of pairs (1536,). Extra ``text``.

    A file has one example per line (or quoted, in a CSV file): its label and its text, in columns.
    Sentences are embedded once with all-MiniLM-L6-v2, and the result is cached. A
    pair (u, v) becomes [u, v, |u - v|, u * v] (Conneau et al. 2017).

    Args:
        path: the file; a relative path is looked up in the data folder, then the current one.
        text: name of the column of texts.
        label: name of the column of labels.
        text_b: name of the column of second texts, for pairs.
        columns: the columns' names if the file has no header.
        test_path: a second file with the test set; by default ``test_fraction`` is held out.
        test_fraction: of each class, the same examples in every run.
        delimiter: between columns; by default a comma for ``.csv`` and a tab for other files.
            Quotes are special only in ``.csv`` files. The last column may contain delimiters.
        encoding: of the file.

    >>> Text(path="sms.tsv", columns=("label", "text")).columns
    ('label', 'text')
    """

    path: str
    text: str = "text"
    label: str = "label"
    text_b: str | None = None
    columns: tuple[str, ...] = ()
    test_path: str | None = None
    test_fraction: float = 0.2
    delimiter: str | None = None
    encoding: str = "utf-8-sig"

    def __post_init__(self) -> None:
        if not 0 < self.test_fraction < 1:
            raise InputError(f"test_fraction: {self.test_fraction} is not between 0 and 1")

    def available(self, data_dir: Path | None) -> str | None:
        """Return None if the files exist and the extra ``text`` is installed."""
        for name in filter(None, (self.path, self.test_path)):
            path = find_path(name, data_dir)
            if not path.is_file():
                return f"{path} is not a file; correct path"
        return _embeddings.missing()

    def load(self, *, seed: int, data_dir: Path | None) -> SourceData:
        """Return embeddings (N, 384) or (N, 1536) float32, and the labels' texts as classes."""
        texts, words = self._read(find_path(self.path, data_dir))
        y, classes = encode(words)
        if self.test_path is None:
            x = self._embed(texts)
            train, test = split_apart(y, self.test_fraction)
            return SourceData(x[train], y[train], x[test], y[test], classes)
        test_file = find_path(self.test_path, data_dir)
        test_texts, test_words = self._read(test_file)
        unknown = sorted(set(test_words) - set(classes))
        if unknown:
            raise InputError(
                f"{test_file}, column '{self.label}': label '{unknown[0]}' is not in the training "
                "file; add training examples or remove it"
            )
        number = {name: k for k, name in enumerate(classes)}
        test_y = torch.tensor([number[word] for word in test_words])
        return SourceData(self._embed(texts), y, self._embed(test_texts), test_y, classes)

    def _embed(self, texts: list[tuple[str, ...]]) -> Tensor:
        u = _embeddings.embed([row[0] for row in texts])
        if self.text_b is None:
            return u
        v = _embeddings.embed([row[1] for row in texts])
        return torch.cat([u, v, (u - v).abs(), u * v], dim=1)

    def _read(self, path: Path) -> tuple[list[tuple[str, ...]], list[str]]:
        rows = list(self._rows(path))
        header = list(self.columns) or (rows.pop(0)[1] if rows else [])
        wanted = [name for name in (self.text, self.text_b, self.label) if name]
        problems = [
            f"{path}: no column '{name}'; {did_you_mean(name, header)} "
            "(a file without a header needs columns = [...])"
            for name in wanted
            if name not in header
        ]
        if not rows:
            problems.append(f"{path}: no example; add some")
        if problems:
            raise InputError(problems)
        at = [header.index(name) for name in wanted]
        found = []
        for number, row in rows:
            place = f"{path}, line {number}"
            if len(row) != len(header):
                found.append(
                    ("length", f"{place}: {len(row)} columns for {len(header)}; correct it")
                )
            elif not all(row[k].strip() for k in at):
                found.append(("empty", f"{place}: an empty text or label; fill or remove it"))
        if found:
            raise InputError(one_per_cause(found))
        texts = [tuple(row[k].strip() for k in at[:-1]) for _, row in rows]
        return texts, [row[at[-1]].strip() for _, row in rows]

    def _rows(self, path: Path) -> Iterator[tuple[int, list[str]]]:
        quoted = path.suffix == ".csv"
        delimiter = self.delimiter or ("," if quoted else "\t")
        try:
            with path.open(encoding=self.encoding, newline="") as file:
                if quoted:
                    reader = csv.reader(file, delimiter=delimiter)
                    yield from ((reader.line_num, row) for row in reader if row)
                    return
                for number, line in enumerate(file.read().splitlines(), start=1):
                    if line.strip():
                        most = len(self.columns) - 1 if self.columns else -1
                        yield number, line.split(delimiter, most)
        except (UnicodeDecodeError, LookupError) as error:
            raise InputError(
                f"{path}: cannot be read as {self.encoding} ({error}); set encoding"
            ) from error
