"""Helpers on torch data sets: labels without reading samples, tensors where they are at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, TypeAlias, cast

import torch
from torch import Tensor
from torch.utils.data import ConcatDataset, Dataset, Subset, TensorDataset

from cl_moe.errors import InputError

__all__ = (
    "Data",
    "Relabelled",
    "as_dataset",
    "as_tensors",
    "data_problems",
    "draw_per_class",
    "labels",
    "relabelled",
    "split_stratified",
    "take",
)

Data: TypeAlias = "Dataset[Any] | tuple[Any, Any]"


class Relabelled(Dataset[tuple[Any, int]]):
    """A data set whose labels are mapped, its samples left as they are (and read when asked for).

    Args:
        data: samples (x, y, ...); what comes after y, such as a task label, is left out.
        mapping: new label of each old one.

    >>> data = TensorDataset(torch.zeros(2, 3), torch.tensor([7, 4]))
    >>> Relabelled(data, {7: 0, 4: 1})[1][1]
    1
    """

    def __init__(self, data: Dataset[Any], mapping: dict[int, int]) -> None:
        self.data, self.mapping = data, dict(mapping)
        self.targets = [self.mapping[y] for y in labels(data).tolist()]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        return self.data[index][0], self.targets[index]


def as_dataset(data: Data, place: str = "data") -> Dataset[Any]:
    """Return a data set as it is, and a pair (x_N..., y_N) of arrays or tensors as a TensorDataset.

    Inputs become float32, bytes scaled to [0, 1]; labels int64.

    Raises:
        InputError: not as many labels as inputs, or labels that are no whole numbers.

    >>> len(as_dataset(([[0.0, 1.0]], [0])))
    1
    """
    if not isinstance(data, (tuple, list)):
        return data
    try:
        x, y = (part if isinstance(part, Tensor) else torch.as_tensor(part) for part in data)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{place}: no pair of numbers ({error}); give (inputs, labels), or a torch Dataset"
        ) from error
    if not x.ndim or not y.ndim:
        raise InputError(f"{place}: one number; give inputs (N, ...) and labels (N,)")
    if len(x) != len(y):
        raise InputError(f"{place}: {len(x)} inputs but {len(y)} labels; give one label an input")
    if y.is_floating_point() and not torch.equal(y, y.round()):
        raise InputError(f"{place}: labels are not whole numbers; give 0, 1, 2, ...")
    if x.is_complex():
        raise InputError(f"{place}: inputs are complex; give real numbers")
    x = x / 255 if x.dtype == torch.uint8 else x
    return TensorDataset(x.to(torch.float32), y.to(torch.int64))


def as_tensors(data: Dataset[Any]) -> tuple[Tensor, Tensor]:
    """Return (x_N... float32, y_N int64); samples are read one by one only where they must be."""
    if isinstance(data, TensorDataset):
        x, y = data.tensors[:2]
        return x, y
    if isinstance(data, Subset) and isinstance(data.dataset, TensorDataset):
        index = torch.as_tensor(data.indices)
        return data.dataset.tensors[0][index], data.dataset.tensors[1][index]
    size = len(cast(Any, data))
    xs = [torch.as_tensor(data[i][0], dtype=torch.float32) for i in range(size)]
    return torch.stack(xs), labels(data)


def labels(data: Dataset[Any]) -> Tensor:
    """Return y_N (int64) without touching the inputs wherever the data set allows it.

    A ``targets`` attribute is believed unless a ``target_transform`` stands between it and the
    samples.

    >>> labels(Subset(TensorDataset(torch.zeros(3, 2), torch.tensor([4, 5, 6])), [2, 0])).tolist()
    [6, 4]
    """
    if isinstance(data, TensorDataset):
        return data.tensors[1].to(torch.int64)
    if isinstance(data, Subset):
        return labels(data.dataset)[torch.as_tensor(data.indices, dtype=torch.int64)]
    if isinstance(data, ConcatDataset):
        return torch.cat([labels(part) for part in data.datasets])
    targets = getattr(data, "targets", None)
    if targets is not None and getattr(data, "target_transform", None) is None:
        return torch.as_tensor(
            targets if isinstance(targets, Tensor) else [int(y) for y in targets],
            dtype=torch.int64,
        )
    size = len(cast(Any, data))
    return torch.tensor([int(data[i][1]) for i in range(size)], dtype=torch.int64)


def take(data: Dataset[Any], index: Tensor) -> Dataset[Any]:
    """Return the samples at ``index`` (N int64), as tensors where ``data`` holds tensors."""
    if isinstance(data, TensorDataset):
        return TensorDataset(*(tensor[index] for tensor in data.tensors))
    return Subset(data, index.tolist())


def relabelled(data: Dataset[Any], mapping: dict[int, int]) -> Dataset[Any]:
    """Return the data set under new labels, as tensors where ``data`` holds tensors."""
    if isinstance(data, TensorDataset):
        new = torch.tensor([mapping[y] for y in data.tensors[1].tolist()], dtype=torch.int64)
        return TensorDataset(data.tensors[0], new)
    return Relabelled(data, mapping)


def draw_per_class(y: Tensor, n: int | None, draw: torch.Generator) -> Tensor:
    """Return indices of at most n examples of each class of y_N, sorted; all where n is None.

    One shuffle a class, so that with equal generators fewer examples are a part of more.

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
    """Return what is wrong with a task's data; ``complete``: each class must have a sample."""
    if not (hasattr(data, "__len__") and hasattr(data, "__getitem__")):
        return [f"{type(data).__name__} has no length; give arrays, or a torch Dataset with one"]
    if len(cast(Any, data)) == 0:
        return ["no sample; give at least one a class"]
    problems = _tensor_problems(data)
    if complete and len(set(classes)) < len(classes):
        problems.append("two classes have one name; give each its own")
    if problems:
        return problems
    found = set(labels(data).tolist())
    wrong = sorted(found - set(range(len(classes))))
    if wrong:
        problems.append(
            f"label {wrong[0]} for {len(classes)} classes; labels are 0 to {len(classes) - 1}"
        )
    missing = [name for k, name in enumerate(classes) if k not in found]
    if missing and complete:
        problems.append(f"class '{missing[0]}' has no sample; give one or drop it")
    return problems


def _tensor_problems(data: Dataset[Any]) -> list[str]:
    """Return what is wrong with the tensors (x_N..., y_N) of a TensorDataset; [] for all others."""
    if not isinstance(data, TensorDataset):
        return []
    x, y = data.tensors[:2]
    problems = []
    if x.ndim < 2 or 0 in x.shape:
        problems.append(f"inputs of shape {tuple(x.shape)}; give (samples, features...)")
    elif not x.is_floating_point():
        problems.append(f"inputs are {x.dtype}; give float32, images scaled to 0..1")
    elif not bool(torch.isfinite(x).all()):
        bad = (~torch.isfinite(x.flatten(1)).all(1)).nonzero()
        problems.append(f"sample {int(bad[0])} holds NaN or infinity; clean or drop it")
    if y.ndim != 1 or y.dtype != torch.int64:
        problems.append(f"labels are {y.dtype} of shape {tuple(y.shape)}; give (samples,) int64")
    return problems


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
