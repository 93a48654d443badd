"""Samples of any data set in a common form, converted and checked when they are read."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeAlias

import torch
from torch import Tensor
from torch.utils.data import Dataset

from cl_moe.errors import InputError, one_per_cause
from cl_moe.seeding import preserve_random_state
from cl_moe.streams.inputs import row_inputs
from cl_moe.streams.labels import class_numbers, stored_labels

__all__ = ("Convert", "Converted", "not_finite", "placed")

Convert: TypeAlias = Callable[[Any, "Sequence[int] | None"], Tensor]
"""Turns N targets, of samples with these numbers, into a tensor (N, ...), or says what is wrong."""

MOST_CHECKED = 2_000


class _FaultError(ValueError):
    """The problem of a sample, and a cause that groups similar problems."""

    def __init__(self, cause: str, sentence: str) -> None:
        super().__init__(sentence)
        self.cause = cause


class Converted(Dataset[tuple[Tensor, Any]]):
    """Samples of any data set as (x float32 or int64, y class number), converted when read.

    Each sample that is read is checked: x is finite and of the shape of the first one, y is a
    label. Up to 2,000 samples, evenly spread, are read immediately (all, where the data set has no
    labels in ``targets``); global random states are restored.

    Args:
        data: rows (x, y), or of Avalanche (x, y, task label).
        place: of the data in errors.
        convert: makes tensors of labels.

    Attributes:
        shape: of one input.
        dtype: of inputs, torch.float32 or torch.int64.
        targets: y_N.

    Raises:
        InputError: samples cannot be used; one sentence per cause, with the first sample and a
            count.

    >>> data = Converted([([0.5], True), ([1], 0.0)])
    >>> data[0], data.targets
    ((tensor([0.5000]), 1), tensor([1, 0]))
    """

    def __init__(self, data: Any, place: str = "data", convert: Convert = class_numbers) -> None:
        self.data, self.place, self.convert = data, place, convert
        self.rows: Sequence[int] = range(len(data))
        self.shape: tuple[int, ...] | None = None
        self.dtype = torch.float32
        stored = stored_labels(data)
        step = 1 if stored is None else max(-(-len(self.rows) // MOST_CHECKED), 1)
        with preserve_random_state():
            self.targets = self._read(self.rows[::step])
            if step > 1:
                said = placed(place, lambda: convert(stored, None))
                agree = torch.equal(said[::step], self.targets)
                self.targets = said if agree else self._read(self.rows)

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> tuple[Tensor, Any]:
        row = self.rows[index]
        try:
            x, y = self._pair(row)
        except _FaultError as fault:
            raise InputError(f"{self.place}: {fault}") from fault
        y = placed(self.place, lambda: self.convert([y], [row]))[0]
        return x, y if y.ndim or y.is_floating_point() else int(y)

    def tensors(self) -> tuple[Tensor, Tensor]:
        """Return (x_N..., y_N) of all samples, each read once, now.

        Raises:
            InputError: samples cannot be used; a sentence a cause.
        """
        xs: list[Tensor] = []
        y = self._read(self.rows, xs)
        return torch.stack(xs), y

    def take(self, index: Sequence[int]) -> Converted:
        """Return the samples at ``index``, in its order; none is read."""
        part = copy.copy(self)
        part.rows = [self.rows[k] for k in index]
        part.targets = self.targets[torch.as_tensor(index, dtype=torch.int64)]
        return part

    def at(self, place: str, convert: Convert) -> Converted:
        """Return the samples under another place, labels converted once more; none is read."""
        other = copy.copy(self)
        other.place = place
        other.targets = placed(place, lambda: convert(self.targets, None))
        return other

    def _read(self, rows: Iterable[int], xs: list[Tensor] | None = None) -> Tensor:
        """Return y of some rows of ``data``; their inputs are added to ``xs``."""
        labels, good, found = [], [], []
        for row in rows:
            try:
                x, y = self._pair(row)
            except _FaultError as fault:
                found.append((fault.cause, f"{self.place}: {fault}"))
                continue
            labels.append(y)
            good.append(row)
            if xs is not None:
                xs.append(x)
        problems = one_per_cause(found)
        try:
            converted = placed(self.place, lambda: self.convert(labels, good))
        except InputError as error:
            problems += error.problems
        if problems:
            raise InputError(problems)
        return converted

    def _pair(self, row: int) -> tuple[Tensor, Any]:
        """Return (x converted and checked, y as it is) of a row of ``data``."""
        value, y = _split(self._sample(row), hasattr(self.data, "targets_task_labels"))
        try:
            x = row_inputs(value)
        except InputError as error:
            raise _FaultError("inputs", str(error)) from error
        if self.shape is None:
            self.shape, self.dtype = tuple(x.shape), x.dtype
        if self.dtype == torch.float32:
            x = x.to(torch.float32)
        if tuple(x.shape) != self.shape or x.dtype != self.dtype:
            raise _FaultError(
                "shape",
                f"sample {row} is {_kind(x.dtype)} of shape {tuple(x.shape)}, the first one "
                f"{_kind(self.dtype)} of shape {self.shape}; give all one kind and shape",
            )
        if x.is_floating_point() and not bool(torch.isfinite(x).all()):
            raise _FaultError("finite", not_finite(row))
        return x, y

    def _sample(self, row: int) -> Any:
        try:
            return self.data[row]
        except (InputError, MemoryError):
            raise
        except Exception as error:  # a user's data set may raise any error
            raise _FaultError(
                f"read {type(error).__name__}",
                f"sample {row} cannot be read ({type(error).__name__}: {error}); see what its "
                "data set does",
            ) from error


def _split(sample: Any, has_task_label: bool) -> tuple[Any, Any]:
    """Return x and y of a row (x, y)."""
    if isinstance(sample, Mapping):
        keys = [repr(key) for key in sample]
        x, y = (*keys, "'x'", "'y'")[:2] if len(keys) > 1 else ("'x'", "'y'")
        raise _FaultError(
            "row",
            f"rows are dictionaries with keys {', '.join(keys)}; give a Dataset of rows (x, y), "
            f"such as (row[{x}], row[{y}]), where x is a tensor (of an image: "
            "torchvision.transforms.ToTensor) and y its label",
        )
    if not isinstance(sample, (tuple, list)):
        raise _FaultError("row", f"rows are {type(sample).__name__}; give pairs (x, y)")
    if len(sample) != 2 and not (has_task_label and len(sample) == 3):
        kind = type(sample).__name__
        raise _FaultError("row", f"rows are {kind}s of {len(sample)}; give pairs (x, y)")
    return sample[0], sample[1]


def _kind(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def not_finite(row: int) -> str:
    """Return the problem of a sample that is not finite."""
    return f"sample {row} holds NaN or infinity; clean or remove it"


def placed(place: str, make: Callable[[], Tensor]) -> Tensor:
    """Return the result of ``make``; problems of its error get their place."""
    try:
        return make()
    except InputError as error:
        raise InputError([f"{place}: {problem}" for problem in error.problems]) from error
