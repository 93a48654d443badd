"""Arrays saved with numpy."""

from __future__ import annotations

import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from cl_moe.errors import InputError, did_you_mean
from cl_moe.streams.inputs import batch_inputs
from cl_moe.streams.labels import plain_labels
from cl_moe.streams.sources.base import Source, SourceData, encode, find_path, split_apart
from cl_moe.streams.targets import target_rows
from cl_moe.unpacking import array

__all__ = ("Npz",)


@dataclass(frozen=True)
class Npz(Source):
    """An ``.npz`` file of arrays: inputs and labels, with or without a test set.

    Inputs are vectors (N, d), or images (N, H, W), (N, C, H, W) or (N, H, W, C); bytes are scaled
    to [0, 1], and vectors of whole numbers are token ids. Labels are whole numbers or texts (N,),
    or one-hot rows; targets of regression are numbers, those of multilabel tasks 0 and 1, (N,) or
    (N, outputs). Pickled arrays raise an error.

    Args:
        path: the file; a relative path is looked up in the data folder, then the current one.
        x: name of the array of (training) inputs.
        y: name of the array of (training) labels.
        test_x: name of the array of test inputs; by default ``test_fraction`` is held out.
        test_y: name of the array of test labels.
        test_fraction: share of each class (without classes, of all), the same in every run.
        objective: ``classification``, ``regression`` or ``multilabel``.

    >>> Npz(path="embeddings.npz").x
    'x'
    """

    path: str
    x: str = "x"
    y: str = "y"
    test_x: str | None = None
    test_y: str | None = None
    test_fraction: float = 0.2
    objective: Literal["classification", "regression", "multilabel"] = "classification"

    def __post_init__(self) -> None:
        problems = []
        if (self.test_x is None) != (self.test_y is None):
            problems.append("test_x: goes together with test_y; give both or neither")
        if not 0 < self.test_fraction < 1:
            problems.append(f"test_fraction: {self.test_fraction} is not between 0 and 1")
        if problems:
            raise InputError(problems)

    def available(self, data_dir: Path | None) -> str | None:
        """Return None where the file exists."""
        path = find_path(self.path, data_dir)
        return None if path.is_file() else f"{path} is not a file; correct path"

    def load(self, *, seed: int, data_dir: Path | None) -> SourceData:
        """Return the arrays as tensors, labels counted from 0."""
        path = find_path(self.path, data_dir)
        wanted = [name for name in (self.x, self.y, self.test_x, self.test_y) if name]
        try:
            with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
                missing = [name for name in wanted if name not in archive]
                if missing:
                    raise InputError(
                        f"{path}: no array '{n}'; {did_you_mean(n, archive)}" for n in missing
                    )
                arrays = {name: array(archive, name, path) for name in wanted}
        except (zipfile.BadZipFile, OSError, EOFError, TypeError, AttributeError) as error:
            raise InputError(f"{path}: not an npz archive; save it with numpy.savez") from error
        except ValueError as error:
            if isinstance(error, InputError):
                raise
            raise InputError(
                f"{path}: holds pickled objects, which are not loaded; save plain arrays"
            ) from error
        return self._data(path, arrays)

    def _data(self, path: Path, arrays: Mapping[str, Any]) -> SourceData:
        bad = [name for name, found in arrays.items() if not isinstance(found, np.ndarray)]
        if bad:
            raise InputError(f"{path}: '{bad[0]}' is not an array; save it with numpy.savez")
        problems = [
            f"{path}, array '{name}': {arrays[name].dtype} is not a number; give numbers"
            for name in (self.x, self.test_x)
            if name and arrays[name].dtype.kind not in "buif"
        ]
        if self.objective != "classification":
            return self._targeted(path, arrays, problems)
        words = {
            name: _words(arrays[name], f"{path}, array '{name}'", problems)
            for name in (self.y, self.test_y)
            if name
        }
        if problems:
            raise InputError(problems)
        y, classes = encode(words[self.y])
        x = _inputs(arrays[self.x])
        if self.test_x is None or self.test_y is None:
            if len(x) != len(y):
                raise InputError(f"{path}: {len(x)} inputs but {len(y)} labels; give as many")
            train, test = split_apart(y, self.test_fraction)
            return SourceData(x[train], y[train], x[test], y[test], classes)
        test_words = words[self.test_y]
        unknown = sorted(set(test_words) - set(classes))
        if unknown:
            raise InputError(
                f"{path}, array '{self.test_y}': label {unknown[0]} is not among the training "
                "labels; add training examples or remove it"
            )
        number = {name: k for k, name in enumerate(classes)}
        test_y = torch.tensor([number[word] for word in test_words])
        return SourceData(x, y, _inputs(arrays[self.test_x]), test_y, classes)

    def _targeted(self, path: Path, arrays: Mapping[str, Any], problems: list[str]) -> SourceData:
        """Return the data of another objective than classification."""
        ys = {
            name: _targets(arrays[name], f"{path}, array '{name}'", problems)
            for name in (self.y, self.test_y)
            if name
        }
        if problems:
            raise InputError(problems)
        x, y = _inputs(arrays[self.x]), ys[self.y]
        width = y.shape[1]
        names = (self.y,) if width == 1 else tuple(f"{self.y}{k}" for k in range(width))
        if self.test_x is not None and self.test_y is not None:
            test_x, test_y = _inputs(arrays[self.test_x]), ys[self.test_y]
            return SourceData(x, y, test_x, test_y, names, self.objective)
        if len(x) != len(y):
            raise InputError(f"{path}: {len(x)} inputs but {len(y)} targets; give as many")
        train, test = split_apart(torch.zeros(len(y)), self.test_fraction)
        return SourceData(x[train], y[train], x[test], y[test], names, self.objective)


def _targets(array: np.ndarray, place: str, problems: list[str]) -> Tensor:
    """Return targets as float32 (N, outputs)."""
    try:
        return target_rows(array)
    except InputError as error:
        problems += [f"{place}: {problem}" for problem in error.problems]
        return torch.zeros(0, 1)


def _words(array: np.ndarray, place: str, problems: list[str]) -> list[str]:
    """Return labels as names of classes, numbers included."""
    try:
        return [str(label) for label in plain_labels(array)]
    except InputError as error:
        problems += [f"{place}: {problem}" for problem in error.problems]
        return []


def _inputs(array: np.ndarray) -> Tensor:
    """Return vectors or images as (N, d) or (N, C, H, W), bytes kept as bytes."""
    x = batch_inputs(array, keep_bytes=True)
    if x.ndim == 3:
        return x.unsqueeze(1)
    if x.ndim == 4 and x.shape[3] in (1, 3) and x.shape[1] not in (1, 3):
        return x.permute(0, 3, 1, 2).contiguous()
    return x
