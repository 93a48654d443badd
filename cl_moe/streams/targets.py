"""Targets of a task's data by objective: conversion, reading, checks, padding."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import Dataset, TensorDataset

from cl_moe.errors import InputError, one_per_cause
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.objectives.named import OBJECTIVES, make_objective
from cl_moe.streams.converted import Converted
from cl_moe.streams.datasets import Data, as_dataset, as_tensors, data_problems, labels
from cl_moe.streams.inputs import tensor_of
from cl_moe.streams.labels import class_numbers, label_values

__all__ = (
    "Retargeted",
    "as_task_data",
    "objective_kind",
    "objective_of",
    "output_names",
    "padded",
    "target_problems",
    "target_rows",
    "targets",
    "tensors",
)

RIGHT = "give real numbers, (samples,) or (samples, outputs)"


class Retargeted(Dataset[tuple[Any, Tensor]]):
    """A data set with other targets and unchanged samples, which are read on access.

    Args:
        data: samples (x, ...).
        targets: one per sample, (N, ...).

    >>> data = TensorDataset(torch.eye(2), torch.tensor([7, 4]))
    >>> Retargeted(data, torch.tensor([[0.5], [1.5]]))[1][1]
    tensor([1.5000])
    """

    def __init__(self, data: Dataset[Any], targets: Tensor) -> None:
        self.data, self.targets = data, targets

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, Tensor]:
        return self.data[index][0], self.targets[index]


def target_rows(values: Any, rows: Sequence[int] | None = None) -> Tensor:
    """Return targets other than labels as float32 (N, outputs); (N,) becomes one column.

    Args:
        values: an array, a tensor, or a list of numbers, arrays or tensors; (N,) or (N, outputs).
        rows: numbers of the samples in errors; 0 to N - 1 where left out.

    Raises:
        InputError: they are not real, finite numbers of one shape; one sentence per cause.

    >>> target_rows([0.5, 1])
    tensor([[0.5000],
            [1.0000]])
    """
    if isinstance(values, str) or not hasattr(values, "__len__") or not getattr(values, "ndim", 1):
        raise InputError(f"targets are {type(values).__name__}; {RIGHT}")
    y = _whole(values)
    if y is None:
        y = _stacked(values, rows)
    if y.is_complex():
        raise InputError(f"targets are complex; {RIGHT}")
    if y.ndim > 2:
        raise InputError(f"targets are {y.dtype} of shape {tuple(y.shape)}; {RIGHT}")
    y = y.to(torch.float32)
    y = y[:, None] if y.ndim == 1 else y
    bad = (~y.isfinite().all(1)).nonzero().flatten().tolist()
    if bad:
        numbers = rows or range(len(y))
        sentence = "sample {} has a target NaN or infinity; clean or remove it"
        raise InputError(one_per_cause((None, sentence.format(numbers[k])) for k in bad))
    return y


def _whole(values: Any) -> Tensor | None:
    """Return targets that are one array, or a list of plain numbers; None if neither."""
    is_array = isinstance(values, Tensor) or hasattr(values, "__array__")
    try:
        if is_array:
            return tensor_of(values)
        if all(isinstance(value, (int, float)) for value in values):
            return torch.tensor(values, dtype=torch.float32)
    except (TypeError, ValueError, RuntimeError, OverflowError):
        pass  # its rows are looked at one by one, to say which is at fault
    return None


def _stacked(values: Any, rows: Sequence[int] | None) -> Tensor:
    """Return the targets of samples, each made a tensor on its own."""
    made: list[Tensor] = []
    found = []
    for row, value in zip(rows or range(len(values)), values, strict=True):
        try:
            y = tensor_of(value)
        except (TypeError, ValueError, RuntimeError, OverflowError):
            found.append(
                ("form", f"targets are not numbers (sample {row} has {value!r:.60}); {RIGHT}")
            )
            continue
        if made and y.shape != made[0].shape:
            found.append(
                (
                    "shape",
                    f"targets are not numbers of the same shape (that of sample {row} is "
                    f"{tuple(y.shape)}, the first {tuple(made[0].shape)}); {RIGHT}",
                )
            )
            continue
        made.append(y if y.is_complex() else y.to(torch.float32))
    if found:
        raise InputError(one_per_cause(found))
    return torch.stack(made)


def as_task_data(
    data: Data, kind: type[Objective], place: str, names: Sequence[str]
) -> Dataset[Any]:
    """Return a task's data in a common form, with targets in the form of its objective.

    Args:
        data: see :func:`cl_moe.streams.datasets.as_dataset`.
        kind: for classification, labels become class numbers; else targets float32 (N, C).
        place: of the data in errors.
        names: of classes.

    Raises:
        InputError: inputs or targets cannot be used, or are not as many.

    >>> from cl_moe.objectives.regression import Regression
    >>> as_task_data(([[0.0], [1.0]], [0.5, 1]), Regression, "data", ()).tensors[1].tolist()
    [[0.5], [1.0]]
    """
    classifies = issubclass(kind, Classification)
    convert = partial(class_numbers, classes=tuple(names)) if classifies else target_rows
    if isinstance(data, Converted) and data.targets.is_floating_point() == classifies:
        return Converted(data, place, convert)  # so far the data of another kind of task
    return as_dataset(data, place, convert)


def objective_kind(given: str | Objective, names: Sequence[str], place: str) -> type[Objective]:
    """Return the kind of a task's objective.

    Raises:
        InputError: no such objective, or another number of outputs than names; for classification
            no name.
    """
    if isinstance(given, Objective):
        if names and len(names) != given.n_outputs:
            raise InputError(
                f"{place}: {len(names)} names of {given.noun[1]}, but the objective has "
                f"{given.counted}; give as many"
            )
        return type(given)
    if given == Classification.name and not names:
        raise InputError(f"{place}: no class; give the names of its classes")
    try:
        return type(make_objective(given, 1))
    except InputError as error:
        raise InputError(f"{place}, {problem}" for problem in error.problems) from error


def objective_of(given: str | Objective, names: Sequence[str], data: Dataset[Any]) -> Objective:
    """Return a task's objective: by name, for as many outputs as there are names or targets.

    Args:
        given: the result of :func:`objective_kind`.
        names: of classes or outputs; may be none.
        data: the result of :func:`as_task_data`.
    """
    if isinstance(given, Objective):
        return given
    return OBJECTIVES[given](max(1, len(names) or label_values(data).shape[1]))


def output_names(objective: Objective) -> tuple[str, ...]:
    """Return default names of a task's outputs.

    >>> from cl_moe.objectives.regression import Regression
    >>> output_names(Regression(1)), output_names(Regression(2))
    (('value',), ('y0', 'y1'))
    """
    count = objective.n_outputs
    return ("value",) if count == 1 else tuple(f"y{k}" for k in range(count))


def targets(data: Dataset[Any], objective: Objective) -> Tensor:
    """Return all targets in the objective's form, without reading inputs where possible."""
    if _classifies(objective):
        return labels(data)
    return objective.targets(target_rows(label_values(data)))


def tensors(data: Dataset[Any], objective: Objective) -> tuple[Tensor, Tensor]:
    """Return inputs (N, ...) and targets; samples are read one by one only where necessary."""
    x, y = as_tensors(data)
    return x, y if _classifies(objective) else objective.targets(y)


def target_problems(
    data: Dataset[Any], objective: Objective, names: Sequence[str], *, complete: bool
) -> list[str]:
    """Return the problems of a task's data; ``complete``: each class must have a sample."""
    if _classifies(objective):
        return data_problems(data, names, complete=complete)
    problems = data_problems(data, (), complete=False)
    if complete and len(set(names)) < len(names):
        problems.append(f"two {objective.noun[1]} have one name; give each its own")
    size = len(cast(Any, data))
    return problems + (objective.target_problems(label_values(data)) if size else [])


def padded(data: Dataset[Any], objective: Objective, width: int) -> Dataset[Any]:
    """Return the data with targets (N, width), float32: the form of mixed objectives.

    The padding is 0; :meth:`~cl_moe.objectives.base.Objective.targets` leaves it out again.

    >>> data = TensorDataset(torch.eye(2), torch.tensor([1, 0]))
    >>> padded(data, Classification(2), 3)[0][1].tolist()
    [1.0, 0.0, 0.0]
    """
    y = targets(data, objective).to(torch.float32).reshape(len(cast(Any, data)), -1)
    y = torch.nn.functional.pad(y, (0, width - y.shape[1]))
    if isinstance(data, TensorDataset):
        return TensorDataset(data.tensors[0], y)
    return Retargeted(data, y)


def _classifies(objective: Objective) -> bool:
    return isinstance(objective, Classification)
