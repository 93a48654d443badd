"""Batches by indexing of tensors, for Avalanche data sets that consist of tensors."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import torch
from avalanche.benchmarks.utils.data_loader import (
    GroupBalancedDataLoader,
    GroupBalancedInfiniteDataLoader,
    MultiDatasetDataLoader,
    MultiDatasetSampler,
    ReplayDataLoader,
    SingleDatasetDataLoader,
    TaskBalancedDataLoader,
)
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, default_collate

from cl_moe.batching import batches, n_batches
from cl_moe.training.tensors import Columns, alike, tensors_of

__all__ = ("Rows", "RowsOf", "SampleLoader", "TensorLoader", "from_tensors")

JOINT = {
    GroupBalancedDataLoader,
    GroupBalancedInfiniteDataLoader,
    MultiDatasetDataLoader,
    ReplayDataLoader,
    SingleDatasetDataLoader,
    TaskBalancedDataLoader,
}
"""Avalanche's loaders of joint batches of several data sets."""


Pairs = Callable[[], bool]
"""Called when batches are made: whether no batch may have one row.

See :func:`cl_moe.batching.batches`. A model may be adapted to its task after its loader is made.
"""


def _alone() -> bool:
    return False


class TensorLoader:
    """Yields batches, ``[x, y, ..., task labels]``, by indexing tensors.

    Args:
        tables: data sets as tensors. Rows are numbered through all tables: row 0 of the second
            follows the last row of the first, and a batch takes its rows table by table.
        order: an iterable of the row numbers of each batch.

    >>> x, y, tasks = torch.rand(5, 3), torch.arange(5), torch.zeros(5, dtype=torch.int64)
    >>> [len(batch[1]) for batch in TensorLoader([(x, y, tasks)], Rows(5, batch_size=2))]
    [2, 2, 1]
    """

    def __init__(self, tables: Sequence[Columns], order: Rows | RowsOf) -> None:
        self.tables, self.order = tables, order

    def __len__(self) -> int:
        return len(self.order)

    def __iter__(self) -> Iterator[list[Tensor]]:
        first, *others = self.tables
        for rows in self.order:
            if isinstance(rows, slice):
                yield [column[rows] for column in first]
                continue
            rows = torch.as_tensor(rows)
            if others:
                yield self._joint(rows)
            else:
                yield [column.index_select(0, rows) for column in first]

    def _joint(self, rows: Tensor) -> list[Tensor]:
        parts, start = [], 0
        for table in self.tables:
            end = start + len(table[0])
            inside = rows[(start <= rows) & (rows < end)] - start
            parts.append([column.index_select(0, inside) for column in table])
            start = end
        return [torch.cat(columns) for columns in zip(*parts, strict=True)]


class Rows:
    """Rows 0 to n - 1 in batches; the last one may be smaller.

    Args:
        n: total number of rows.
        batch_size: rows per batch.
        shuffle: whether each pass draws a new order from torch's global generator.
        pairs: whether a single last row joins the batch before it.

    >>> list(Rows(5, batch_size=2, pairs=lambda: True))
    [slice(0, 2, None), slice(2, 5, None)]
    """

    def __init__(
        self, n: int, batch_size: int, shuffle: bool = False, pairs: Pairs = _alone
    ) -> None:
        self.n, self.batch_size, self.shuffle, self.pairs = n, batch_size, shuffle, pairs

    def _pairs(self) -> bool:
        return self.n % self.batch_size == 1 and self.pairs()

    def __len__(self) -> int:
        return n_batches(self.n, self.batch_size, self._pairs())

    def __iter__(self) -> Iterator[Tensor | slice]:
        if self.shuffle:
            yield from batches(torch.randperm(self.n), self.batch_size, self._pairs())
        else:
            ends = [*range(self.batch_size, self.n, self.batch_size)][: len(self) - 1]
            for start, end in zip([0, *ends], [*ends, self.n], strict=True):
                yield slice(start, end)


class RowsOf:
    """The row numbers that a loader of Avalanche or PyTorch would fetch, batch by batch.

    The loader's own samplers and PyTorch's iteration are used, so that random numbers are drawn as
    by the loader: the batches and the subsequent random numbers are the same.

    Args:
        loader: a loader with batches.
        pairs: whether a single last row of a data set joins the batch before it.
    """

    def __init__(self, loader: Any, pairs: Pairs = _alone) -> None:
        self.loader, self.pairs = loader, pairs

    def __len__(self) -> int:
        return _length(self.loader, self.pairs())

    def __iter__(self) -> Iterator[list[int]]:
        loader, pairs = self.loader, self.pairs()
        if isinstance(loader, DataLoader):
            sampler, generator = loader.batch_sampler, loader.generator
            sampler = _Paired(sampler) if pairs else sampler
        else:
            sampler, generator = _sampler(loader, pairs), loader.loader_kwargs.get("generator")
        yield from DataLoader(
            _Positions(), batch_sampler=sampler, generator=generator, collate_fn=_as_it_is
        )


class SampleLoader:
    """A loader of Avalanche without the pass over all samples, before each epoch, for FFCV.

    Args:
        loader: the loader; its data are not read through FFCV.
        pairs: as for :class:`RowsOf`.
    """

    def __init__(self, loader: MultiDatasetDataLoader, pairs: Pairs = _alone) -> None:
        self.loader, self.pairs = loader, pairs

    def __len__(self) -> int:
        return _length(self.loader, self.pairs())

    def __iter__(self) -> Iterator[Any]:
        loader = self.loader
        yield from loader._make_pytorch_loader(loader.datasets, _sampler(loader, self.pairs()))


def from_tensors(loader: Any, pairs: Pairs = _alone) -> Any:
    """Return a loader of the same batches, by indexing where the data are tensors.

    With transforms per sample, samples are fetched as before. Loaders of other classes, with a
    custom collate function or with worker processes are returned unchanged. With ``pairs``, a data
    set's single last row joins the batch before it.
    """
    if type(loader) is DataLoader:
        whole = loader.batch_sampler is not None and not loader.num_workers
        tables = _tables([loader.dataset]) if whole and _stacks(loader.collate_fn) else None
        return loader if tables is None else TensorLoader(tables, RowsOf(loader, pairs))
    if type(loader) not in JOINT or loader.loader_kwargs.get("num_workers"):
        return loader
    if any(_reads_ffcv(data) for data in loader.datasets):
        return loader
    stacks = _stacks(loader.loader_kwargs["collate_fn"])
    tables = _tables(loader.datasets) if stacks else None
    if tables is None:
        return SampleLoader(loader, pairs)
    return TensorLoader(tables, RowsOf(loader, pairs))


class _Positions(Dataset[int]):
    """A data set whose rows are their numbers; a batch is the list of its row numbers."""

    def __getitems__(self, rows: list[int]) -> list[int]:
        return rows


def _as_it_is(batch: list[int]) -> list[int]:
    return batch


class _Paired:
    """The batches of a sampler, with a last batch of one row joined to the one before it."""

    def __init__(self, sampler: Any) -> None:
        self.sampler = sampler

    def __len__(self) -> int:
        return len(self.sampler)

    def __iter__(self) -> Iterator[list[int]]:
        held: list[int] = []
        for rows in self.sampler:
            if len(rows) == 1 < len(held):
                held = [*held, *rows]
                continue
            if held:
                yield held
            held = list(rows)
        if held:
            yield held


def _sampler(loader: MultiDatasetDataLoader, pairs: bool) -> MultiDatasetSampler:
    """Return the sampler of one pass, as Avalanche's loader makes it."""
    samplers = loader._create_samplers(
        loader.datasets, loader.batch_sizes, loader.distributed_sampling, loader.loader_kwargs
    )
    return MultiDatasetSampler(
        loader.datasets,
        [_Paired(sampler) for sampler in samplers] if pairs else samplers,
        termination_dataset_idx=_longest(loader, pairs),
        oversample_small_datasets=loader.oversample_small_datasets,
        never_ending=loader.never_ending,
    )


def _length(loader: Any, pairs: bool) -> int:
    """Return the number of batches of a pass."""
    if not pairs or getattr(loader, "never_ending", False):
        return len(loader)
    if isinstance(loader, DataLoader):
        sampler: Any = loader.sampler
        if loader.batch_size is None or loader.drop_last:
            return len(loader)
        return n_batches(len(sampler), loader.batch_size, True)
    return _lengths(loader)[_longest(loader, pairs)]


def _longest(loader: MultiDatasetDataLoader, pairs: bool) -> int:
    """Return the data set that determines the length of a pass; for replay, the new data."""
    if not pairs or loader.never_ending or isinstance(loader, ReplayDataLoader):
        return loader.termination_dataset
    lengths = _lengths(loader)
    return lengths.index(max(lengths))


def _lengths(loader: MultiDatasetDataLoader) -> list[int]:
    """Return the number of batches of each data set, with single last rows joined."""
    sizes = [
        (len(data), size) for data, size in zip(loader.datasets, loader.batch_sizes, strict=True)
    ]
    if loader.loader_kwargs.get("drop_last"):
        return [n // size for n, size in sizes]
    return [n_batches(n, size, True) for n, size in sizes]


def _stacks(collate: Any) -> bool:
    return collate is None or collate is default_collate


def _tables(datasets: Iterable[Any]) -> list[Columns] | None:
    """Return data sets as tensors that can be joined, or None."""
    tables = [tensors_of(data) for data in datasets]
    found = [table for table in tables if table is not None]
    return found if len(found) == len(tables) and alike(found) else None


def _reads_ffcv(data: Any) -> bool:
    """Tell whether FFCV is enabled for a leaf of the tree."""
    node = getattr(data, "_flat_data", data)
    return hasattr(node, "ffcv_info") or any(map(_reads_ffcv, getattr(node, "_datasets", ())))
