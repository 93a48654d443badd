"""Data sets of tasks: conversion, subsets, draws, splits."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset

from cl_moe.errors import InputError, one_per_cause
from cl_moe.streams.converted import Convert, Converted, not_finite
from cl_moe.streams.inputs import batch_inputs
from cl_moe.streams.labels import class_numbers, label_values, plain_labels

__all__ = (
    "Data",
    "Relabelled",
    "as_dataset",
    "as_tensors",
    "data_problems",
    "draw_per_class",
    "labels",
    "relabelled",
    "row_form",
    "split_stratified",
    "take",
)

Data: TypeAlias = "Dataset[Any] | tuple[Any, Any]"


class Relabelled(Dataset[tuple[Any, int]]):
    """A data set with mapped labels and unchanged samples, which are read on access.

    Args:
        data: samples (x, y, ...); what comes after y, such as a task label, is left out.
        mapping: new label of each old one, in the form of :func:`plain_label`.

    >>> data = TensorDataset(torch.zeros(2, 3), torch.tensor([7, 4]))
    >>> Relabelled(data, {7: 0, 4: 1})[1][1]
    1
    """

    def __init__(self, data: Dataset[Any], mapping: Mapping[Any, int]) -> None:
        self.data, self.mapping = data, dict(mapping)
        self.targets = [self.mapping[y] for y in plain_labels(label_values(data))]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.data[index][0], self.targets[index]


def as_dataset(data: Data, place: str = "data", convert: Convert = class_numbers) -> Dataset[Any]:
    """Return data as a TensorDataset where they are tensors, else as :class:`Converted`.

    Inputs become float32, bytes scaled to [0, 1], and token ids int64
    (:func:`cl_moe.streams.inputs.batch_inputs`). A TensorDataset in this form is returned
    unchanged.

    Args:
        data: a torch Dataset, or a pair (x_N..., y_N) of arrays or tensors.
        place: of the data in errors.
        convert: makes a tensor of labels; see :func:`cl_moe.streams.labels.class_numbers`.

    Raises:
        InputError: inputs or labels that are none, or not as many labels as inputs.

    >>> len(as_dataset(([[0.0, 1.0]], [0])))
    1
    """
    if isinstance(data, Converted):
        return data.at(place, convert)
    if isinstance(data, (tuple, list)):
        if len(data) != 2:
            raise InputError(
                f"{place}: a {type(data).__name__} of {len(data)}; give a pair (inputs, labels), "
                "or a torch Dataset"
            )
        return _from_arrays(data[0], data[1], place, convert)
    if isinstance(data, Mapping):
        raise InputError(f"{place}: a {type(data).__name__}; give a pair (inputs, labels)")
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        raise InputError(
            f"{place}: {type(data).__name__} has no length; give arrays, or a torch Dataset that "
            "has one"
        )
    try:
        len(data)
    except Exception as error:  # a user's data set may raise any error
        raise InputError(
            f"{place}: its length cannot be read ({type(error).__name__}: {error}); see what its "
            "data set does"
        ) from error
    columns = _columns(data)
    if columns is None:
        return Converted(data, place, convert)
    if len(columns) != 2:
        raise InputError(f"{place}: rows are tuples of {len(columns)}; give pairs (x, y)")
    made = _from_arrays(*columns, place, convert)
    same = all(new is old for new, old in zip(made.tensors, columns, strict=True))
    return data if same and isinstance(data, TensorDataset) else made


def _columns(data: Any) -> tuple[Tensor, ...] | None:
    """Return the tensors of a TensorDataset, or of a part of one."""
    if isinstance(data, TensorDataset):
        return data.tensors
    if isinstance(data, Subset):
        columns = _columns(data.dataset)
        rows = torch.as_tensor(data.indices, dtype=torch.int64)
        return columns if columns is None else tuple(column[rows] for column in columns)
    return None


def _from_arrays(x: Any, y: Any, place: str, convert: Convert) -> TensorDataset:
    problems: list[str] = []
    parts: list[Tensor] = []
    if not all(hasattr(part, "__len__") and getattr(part, "ndim", 1) for part in (x, y)):
        raise InputError(f"{place}: one number; give inputs (N, ...) and labels (N,)")
    with _noted(problems):
        parts.append(batch_inputs(x))
    with _noted(problems):
        parts.append(convert(y, None))
    if not problems and len(parts[0]) != len(parts[1]):
        problems.append(
            f"{len(parts[0])} inputs but {len(parts[1])} labels; give one label per input"
        )
    if problems:
        raise InputError([f"{place}: {problem}" for problem in problems])
    return TensorDataset(*parts)


@contextlib.contextmanager
def _noted(problems: list[str]) -> Iterator[None]:
    """Add the problems of an InputError to ``problems``."""
    try:
        yield
    except InputError as error:
        problems += error.problems


def as_tensors(data: Dataset[Any]) -> tuple[Tensor, Tensor]:
    """Return (x_N..., y_N int64); samples are read one by one only where they must be.

    Raises:
        InputError: a sample that is read cannot be used.
    """
    columns = _columns(data)
    if columns is not None:
        return columns[0], columns[1]
    return (data if isinstance(data, Converted) else Converted(data)).tensors()


def take(data: Dataset[Any], index: Tensor) -> Dataset[Any]:
    """Return the samples at ``index`` (N int64), as tensors where ``data`` holds tensors."""
    if isinstance(data, TensorDataset):
        return TensorDataset(*(tensor[index] for tensor in data.tensors))
    rows = index.tolist()
    return data.take(rows) if isinstance(data, Converted) else Subset(data, rows)


def row_form(data: Dataset[Any]) -> tuple[tuple[int, ...], torch.dtype]:
    """Return shape and dtype of one input of a data set from :func:`as_dataset`."""
    if isinstance(data, TensorDataset):
        return tuple(data.tensors[0].shape[1:]), data.tensors[0].dtype
    assert isinstance(data, Converted)
    return data.shape or (), data.dtype


def labels(data: Dataset[Any]) -> Tensor:
    """Return y_N (int64) of a data set whose labels are whole numbers.

    >>> labels(Subset(TensorDataset(torch.zeros(3, 2), torch.tensor([4, 5, 6])), [2, 0])).tolist()
    [6, 4]
    """
    return class_numbers(label_values(data))


def relabelled(data: Dataset[Any], mapping: Mapping[Any, int]) -> Dataset[Any]:
    """Return the data set under new labels, as tensors where ``data`` holds tensors."""
    if isinstance(data, TensorDataset):
        new = [mapping[y] for y in plain_labels(data.tensors[1])]
        return TensorDataset(data.tensors[0], torch.tensor(new, dtype=torch.int64))
    return Relabelled(data, mapping)


def draw_per_class(y: Tensor, n: int | None, draw: torch.Generator) -> Tensor:
    """Return indices of at most n examples of each class of y_N, sorted; all where n is None.

    One shuffle per class, so that with equal generators a smaller draw is a subset of a larger one.

    >>> draw_per_class(torch.tensor([0, 0, 1, 1]), 1, torch.Generator().manual_seed(0)).shape
    torch.Size([2])
    """
    if n is None:
        return torch.arange(len(y))
    picked = []
    for label in y.unique():
        members = (y == label).nonzero().flatten()
        picked.append(members[torch.randperm(len(members), generator=draw)[:n]])
    return torch.cat(picked).sort().values


def data_problems(data: Dataset[Any], classes: Sequence[str], *, complete: bool) -> list[str]:
    """Return the problems of a task's data in the form of :func:`as_dataset`.

    Args:
        data: of one split.
        classes: names of the classes.
        complete: each class must have a sample.
    """
    size = len(cast(Any, data))
    if size == 0:
        return ["no sample; give at least one per class"]
    problems = _input_problems(data, size)
    if complete and len(set(classes)) < len(classes):
        problems.append("two classes have the same name; rename one")
    if problems or not complete:
        return problems
    found = set(labels(data).tolist())
    return one_per_cause(
        (None, f"class '{name}' has no sample; give one or drop it")
        for number, name in enumerate(classes)
        if number not in found
    )


def _input_problems(data: Dataset[Any], size: int) -> list[str]:
    shape, _ = row_form(data)
    if not shape or 0 in shape:
        return [f"inputs of shape {(size, *shape)}; give (samples, features...)"]
    if not isinstance(data, TensorDataset):
        return []
    x = data.tensors[0]
    if not x.is_floating_point() or bool(torch.isfinite(x.sum())):  # a sum takes no memory
        return []
    bad = (~torch.isfinite(x.flatten(1)).all(1)).nonzero().flatten().tolist()
    return one_per_cause(("finite", not_finite(row)) for row in bad)


def split_stratified(y: Tensor, fraction: float, draw: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return the indices kept and held out of labels y_N, sorted.

    Of a class with n samples, ``fraction * n`` are held out, rounded, but at least one where the
    class has two, and always fewer than n.

    >>> keep, hold = split_stratified(torch.tensor([0, 0, 1]), 0.5, torch.Generator())
    >>> len(keep), len(hold)
    (2, 1)
    """
    held = torch.zeros(len(y), dtype=torch.bool)
    for label in y.unique():
        members = (y == label).nonzero().flatten()
        n = len(members)
        size = min(max(round(fraction * n), 1), n - 1)
        held[members[torch.randperm(n, generator=draw)[:size]]] = True
    return (~held).nonzero().flatten(), held.nonzero().flatten()
