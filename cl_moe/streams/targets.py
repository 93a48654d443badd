"""Targets of a task's data by its objective: read, converted, checked, padded."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from cl_moe.errors import InputError
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.objectives.named import OBJECTIVES, make_objective
from cl_moe.streams.datasets import Data, as_dataset, as_tensors, data_problems, labels

__all__ = (
    "Retargeted",
    "as_task_data",
    "objective_of",
    "output_names",
    "padded",
    "target_problems",
    "targets",
    "tensors",
)


class Retargeted(Dataset[tuple[Any, Tensor]]):
    """A data set under other targets, its samples left as they are (and read when asked for).

    Args:
        data: samples (x, ...).
        targets: one a sample, (N, ...).

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


def as_task_data(data: Data, objective: str | Objective, place: str) -> Dataset[Any]:
    """Return a task's data; a pair (x_N..., y) of arrays or tensors becomes a TensorDataset.

    Where a task is no classification, targets in memory become float32 (N, C).

    Raises:
        InputError: not as many targets as inputs, or no numbers.

    >>> as_task_data(([[0.0], [1.0]], [0.5, 1]), "regression", "data").tensors[1].tolist()
    [[0.5], [1.0]]
    """
    name = objective if isinstance(objective, str) else objective.name
    if name == Classification.name:
        return as_dataset(data, place)
    if isinstance(data, TensorDataset):
        x, y = data.tensors[:2]
        return TensorDataset(x, _column(y))
    if not isinstance(data, (tuple, list)):
        return data
    if len(data) != 2:
        raise InputError(f"{place}: {len(data)} parts; give a pair (inputs, targets)")
    try:
        y = torch.as_tensor(data[1])
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"{place}: targets are no numbers ({error}); give numbers") from error
    made = as_dataset((data[0], torch.zeros(y.shape[:1], dtype=torch.int64)), place)
    assert isinstance(made, TensorDataset)
    return TensorDataset(made.tensors[0], _column(y))


def _column(y: Tensor) -> Tensor:
    """Return targets as float32, one number a row as a column; complex ones as they are."""
    y = y if y.is_complex() else y.to(torch.float32)
    return y[:, None] if y.ndim == 1 else y


def objective_of(
    given: str | Objective, names: Sequence[str], train: Dataset[Any], place: str
) -> Objective:
    """Return a task's objective: made by name, for as many outputs as there are names or targets.

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
        return given
    count = len(names)
    if given == Classification.name and not count:
        raise InputError(f"{place}: no class; give the names of its classes")
    if given in OBJECTIVES and not count and hasattr(train, "__len__") and len(train):
        count = int(torch.as_tensor(train[0][1]).numel())
    try:
        return make_objective(given, max(1, count))
    except InputError as error:
        raise InputError(f"{place}, {problem}" for problem in error.problems) from error


def output_names(objective: Objective) -> tuple[str, ...]:
    """Return names for the outputs of a task that gives none.

    >>> from cl_moe.objectives.regression import Regression
    >>> output_names(Regression(1)), output_names(Regression(2))
    (('value',), ('y0', 'y1'))
    """
    count = objective.n_outputs
    return ("value",) if count == 1 else tuple(f"y{k}" for k in range(count))


def targets(data: Dataset[Any], objective: Objective) -> Tensor:
    """Return all targets as the objective reads them, without inputs where that can be avoided."""
    return labels(data) if _classifies(objective) else objective.targets(_raw(data))


def _raw(data: Dataset[Any]) -> Tensor:
    """Return targets that are no labels, (N,) or (N, C)."""
    if isinstance(data, TensorDataset):
        return data.tensors[1]
    if isinstance(data, Subset):
        return _raw(data.dataset)[torch.as_tensor(data.indices, dtype=torch.int64)]
    if isinstance(data, ConcatDataset):
        return torch.cat([_raw(part) for part in data.datasets])
    found = getattr(data, "targets", None)
    if found is None or getattr(data, "target_transform", None) is not None:
        found = [data[row][1] for row in range(len(cast(Any, data)))]
    if isinstance(found, Tensor):
        return found
    return torch.stack([torch.as_tensor(y, dtype=torch.float32) for y in found])


def tensors(data: Dataset[Any], objective: Objective) -> tuple[Tensor, Tensor]:
    """Return inputs (N, ...) and targets; samples are read one by one only where they must be."""
    if _classifies(objective):
        return as_tensors(data)
    if isinstance(data, TensorDataset):
        return data.tensors[0], targets(data, objective)
    rows = range(len(cast(Any, data)))
    x = torch.stack([torch.as_tensor(data[row][0], dtype=torch.float32) for row in rows])
    return x, targets(data, objective)


def target_problems(
    data: Dataset[Any], objective: Objective, names: Sequence[str], *, complete: bool
) -> list[str]:
    """Return what is wrong with a task's data; ``complete``: each class must have a sample."""
    if _classifies(objective):
        return data_problems(data, names, complete=complete)
    size = len(cast(Any, data)) if hasattr(data, "__len__") else 0
    if not size:
        return data_problems(data, names, complete=complete)
    try:
        y = _raw(data)
    except (TypeError, ValueError, RuntimeError) as error:
        return [f"targets are no numbers of one shape ({error}); give (samples, outputs)"]
    none = torch.zeros(size, dtype=torch.int64)
    inputs = TensorDataset(data.tensors[0], none) if isinstance(data, TensorDataset) else None
    problems = data_problems(inputs or Retargeted(data, none), names[:1], complete=False)
    if complete and len(set(names)) < len(names):
        problems.append(f"two {objective.noun[1]} have one name; give each its own")
    return problems + objective.target_problems(y)


def padded(data: Dataset[Any], objective: Objective, width: int) -> Dataset[Any]:
    """Return the data with targets (N, width), float32: one form for tasks of all objectives.

    What is added is 0; :meth:`~cl_moe.objectives.base.Objective.targets` leaves it out again.

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
