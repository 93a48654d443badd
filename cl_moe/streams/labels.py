"""Conversion of labels to class numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Subset, TensorDataset

from cl_moe.errors import InputError, did_you_mean, one_per_cause
from cl_moe.streams.inputs import INTEGERS, tensor_of

__all__ = ("class_numbers", "label_values", "plain_label", "plain_labels", "stored_labels")


def stored_labels(data: Any) -> Any:
    """Return the stored labels, a list or a tensor, or None where only samples hold them.

    A ``targets`` attribute is used unless a ``target_transform`` applies to samples.
    """
    if isinstance(data, TensorDataset):
        return data.tensors[1]
    if isinstance(data, Subset):
        values, rows = stored_labels(data.dataset), data.indices
        if isinstance(values, (Tensor, np.ndarray)):
            return values[np.asarray(rows, dtype=np.int64)]
        return values if values is None else [values[row] for row in rows]
    if isinstance(data, ConcatDataset):
        parts = [stored_labels(part) for part in data.datasets]
        return None if any(p is None for p in parts) else [y for part in parts for y in part]
    targets = getattr(data, "targets", None)
    if targets is None or getattr(data, "target_transform", None) is not None:
        return None
    return targets if isinstance(targets, (Tensor, np.ndarray)) else list(targets)


def label_values(data: Any) -> Any:
    """Return the unconverted labels; samples are read only where necessary."""
    stored = stored_labels(data)
    return [data[row][1] for row in range(len(data))] if stored is None else stored


def plain_label(value: Any, width: int | None = None) -> int | str:
    """Return a label as a class number or a class name.

    A class number may have any numeric type, be in an array of one value, or be given by a one-hot
    row.

    Args:
        value: the label.
        width: of a one-hot row; None: any.

    Raises:
        ValueError: it is none of these; the message shows it.

    >>> [plain_label(y) for y in (True, np.float64(2), torch.tensor([3]), [0, 0, 1], b"cat")]
    [1, 2, 3, 2, 'cat']
    """
    if type(value) is int:
        return value
    if isinstance(value, np.ndarray) and value.size == 1:
        value = value.item()
    elif isinstance(value, (list, tuple)) and len(value) == 1:
        value = value[0]
    if isinstance(value, (str, bytes)):
        return value.decode() if isinstance(value, bytes) else str(value)
    try:
        y = tensor_of(value)
        numbers = [float(number) for number in y.flatten().tolist()]
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{value!r:.60}") from error
    if len(numbers) == 1 and numbers[0].is_integer():
        return int(y)
    if y.ndim == 1 and width in (None, len(y)) and sorted(numbers) == [0.0] * (len(y) - 1) + [1.0]:
        return numbers.index(1.0)
    raise ValueError(f"{numbers[0]:g}" if len(numbers) == 1 else f"{y.tolist()!r:.60}")


def plain_labels(
    values: Any, width: int | None = None, rows: Sequence[int] | None = None
) -> list[int | str]:
    """Return labels (N) as class numbers or class names; see :func:`plain_label`.

    Args:
        values: the labels.
        width: of one-hot rows; None: any.
        rows: numbers of the samples in errors; 0 to N - 1 where left out.

    Raises:
        InputError: with the first label that is neither, and how many more there are.
    """
    if hasattr(values, "__array__") and not isinstance(values, Tensor):
        values = np.asarray(values)
    if isinstance(values, str) or not hasattr(values, "__len__") or not getattr(values, "ndim", 1):
        raise InputError(f"labels are {type(values).__name__}; give one per input, (N,)")
    if isinstance(values, (Tensor, np.ndarray)) and values.ndim == 1:
        values = values.tolist()
    plain: list[int | str] = []
    found = []
    right = "0, 1, 2, ..." if width is None else f"0 to {width - 1}"
    for row, value in zip(rows or range(len(values)), values, strict=True):
        label, problem = _attempt(value, width)
        plain.append(label)
        if problem:
            found.append(
                (
                    "form",
                    f"labels are not whole numbers, class names or one-hot rows (sample {row} has "
                    f"{problem}); give {right}",
                )
            )
    if found:
        raise InputError(one_per_cause(found))
    return plain


def _attempt(value: Any, width: int | None) -> tuple[int | str, str]:
    try:
        return plain_label(value, width), ""
    except ValueError as error:
        return 0, str(error)


def class_numbers(
    values: Any, rows: Sequence[int] | None = None, classes: Sequence[str] = ()
) -> Tensor:
    """Return labels in any form that classification knows as y_N (int64), from 0.

    A text is a class's name, or the number of one where no class has a number for a name.

    Args:
        values: N labels, each as :func:`plain_label` says.
        rows: numbers of the samples in errors; 0 to N - 1 where left out.
        classes: the names; empty: any whole numbers.

    Raises:
        InputError: labels of another form or of no class, with the first and how many there are.

    >>> class_numbers(["b", "a"], classes=("a", "b")), class_numbers(np.eye(2))
    (tensor([1, 0]), tensor([0, 1]))
    """
    if isinstance(values, Tensor) and values.ndim == 1 and values.dtype in INTEGERS:
        y = values.to(torch.int64)
    else:
        plain = plain_labels(values, len(classes) or None, rows)
        y = torch.tensor(_numbers(plain, classes, rows), dtype=torch.int64)
    wrong = y[(y < 0) | (y >= len(classes))].tolist() if classes else []
    if wrong:
        sentence = (
            f"label {wrong[0]} for {len(classes)} classes; labels are 0 to {len(classes) - 1}"
        )
        raise InputError(one_per_cause((None, sentence) for _ in wrong))
    return y


def _numbers(
    plain: Sequence[int | str], classes: Sequence[str], rows: Sequence[int] | None
) -> list[int]:
    position = {name: number for number, name in enumerate(classes)}
    if not any(name.isdecimal() for name in classes):
        position |= {y: int(y) for y in plain if isinstance(y, str) and y.isdecimal()}
    found = [
        ("name", f"label '{y}' of sample {row} is not a class; {did_you_mean(y, classes)}")
        for row, y in zip(rows or range(len(plain)), plain, strict=True)
        if isinstance(y, str) and y not in position
    ]
    if found:
        raise InputError(one_per_cause(found))
    return [position[y] if isinstance(y, str) else y for y in plain]
