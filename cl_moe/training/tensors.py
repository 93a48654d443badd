"""Avalanche data sets as tensors, where they consist of tensors."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from avalanche.benchmarks.utils import AvalancheDataset, ConstantSequence, DataAttribute
from avalanche.benchmarks.utils.flat_data import FlatData
from torch import Tensor
from torch.utils.data import TensorDataset

__all__ = ("Columns", "alike", "numbers_of", "tensors_of")

Columns = tuple[Tensor, ...]
"""A data set as tensors: the columns of a batch, x, y, ..., task labels, for all rows."""


def tensors_of(dataset: Any) -> Columns | None:
    """Return (x, y, ..., task labels) of an Avalanche data set, or None where it must be read.

    This is the case with a transform per sample, or where a leaf is no ``TensorDataset``.
    """
    if not isinstance(dataset, AvalancheDataset):
        return None
    flat = dataset._flat_data
    columns = _columns(flat, None, flat._transform_groups.current_group)
    extra = [a for a in dataset._data_attributes.values() if a.use_in_getitem]
    if columns is None or not all(len(a) and isinstance(a[0], int) for a in extra):
        return None
    return (*columns, *(numbers_of(attribute) for attribute in extra))


def numbers_of(values: Any) -> Tensor:
    """Return an integer data attribute, such as ``dataset.targets``, as a tensor (N,)."""
    if isinstance(values, DataAttribute):
        return numbers_of(values.data)
    if isinstance(values, ConstantSequence):
        return torch.full((len(values),), int(values[0]))
    if not isinstance(values, FlatData):
        return torch.as_tensor(values if isinstance(values, list) else list(values))
    parts = [numbers_of(part) for part in values._datasets]
    numbers = parts[0] if len(parts) == 1 else torch.cat(parts)
    return numbers if values._indices is None else numbers[_tensor(values._indices)]


def alike(tables: Sequence[Columns]) -> bool:
    """Tell whether data sets have columns of the same types and shapes."""
    kinds = [[(column.dtype, column.shape[1:]) for column in table] for table in tables]
    return all(kind == kinds[0] for kind in kinds)


def _columns(data: Any, rows: Tensor | None, group: str) -> Columns | None:
    """Return the columns of Avalanche's tree of concatenations and subsets.

    Args:
        data: a node or a leaf of the tree.
        rows: the row numbers to return, in order; None: all.
        group: the transform group to apply, at the leaves, too.
    """
    if isinstance(data, TensorDataset):
        return data.tensors if rows is None else tuple(_pick(t, rows) for t in data.tensors)
    if not isinstance(data, FlatData) or _transforms(data, group):
        return None
    if data._indices is not None:
        own = _tensor(data._indices)
        rows = own if rows is None else own[rows]
    if rows is None:
        parts = [_columns(leaf, None, group) for leaf in data._datasets]
        found = [part for part in parts if part is not None]
        if not found or len(found) < len(parts) or not alike(found):
            return None
        return found[0] if len(found) == 1 else tuple(map(torch.cat, zip(*found, strict=True)))
    return _gathered(data, rows, group)


def _gathered(data: FlatData, rows: Tensor, group: str) -> Columns | None:
    """Return some rows of a concatenation, reading only those of each part."""
    parts: list[Columns] = []
    places: list[Tensor] = []
    start = 0
    for leaf in data._datasets:
        end = start + len(leaf)
        place = ((start <= rows) & (rows < end)).nonzero().flatten()
        if len(place):
            part = _columns(leaf, rows[place] - start, group)
            if part is None:
                return None
            parts.append(part)
            places.append(place)
        start = end
    if not parts or not alike(parts):
        return None
    if len(parts) == 1:
        return parts[0]
    back = torch.cat(places).argsort()
    return tuple(torch.cat(columns)[back] for columns in zip(*parts, strict=True))


def _pick(column: Tensor, rows: Tensor) -> Tensor:
    """Return rows of a column, without a copy where they are contiguous."""
    start = int(rows[0])
    if torch.equal(rows, torch.arange(start, start + len(rows))):
        return column[start : start + len(rows)]
    return column[rows]


def _tensor(indices: Iterable[int]) -> Tensor:
    return torch.as_tensor(list(indices), dtype=torch.int64)


def _transforms(flat: Any, group: str) -> bool:
    """Tell whether a node of the tree transforms its samples."""
    for name in ("_transform_groups", "_frozen_transform_groups"):
        groups = getattr(flat, name, None)
        if groups is None:
            continue
        try:
            chosen = groups[group]
        except KeyError:  # reading a sample says so
            return True
        if any(transform is not None for transform in getattr(chosen, "transforms", [chosen])):
            return True
    return False
