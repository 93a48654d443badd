"""Batches straight from tensors for any Avalanche strategy."""

from __future__ import annotations

from typing import Any

from cl_moe.batching import needs_two
from cl_moe.training.loader import from_tensors

__all__ = ("TensorBatches", "pair_rows")


class TensorBatches:
    """A mixin: whatever loader a strategy or its plugins make, batches come from tensors.

    Avalanche fetches a batch sample by sample, and looks at every sample before each epoch: most of
    the time of a small network. This puts a loader in the place of the strategy's that takes the
    same rows by indexing, wherever the data are tensors that no transform changes sample by sample;
    elsewhere samples are fetched as before. Joint batches with a memory, as ``ReplayPlugin`` makes
    them, are covered. Batches, random numbers and results are the same, bit for bit.

    It stands before the strategy among the bases:

    >>> import torch
    >>> from avalanche.training import Naive
    >>> class QuickNaive(TensorBatches, Naive):
    ...     pass
    >>> model = torch.nn.Linear(4, 2)
    >>> strategy = QuickNaive(model=model, optimizer=torch.optim.SGD(model.parameters(), lr=0.1))
    """

    _dataloader: Any
    model: Any
    is_training: bool

    @property
    def dataloader(self) -> Any:
        """The loader in use; what is set is replaced where tensors serve."""
        return self._dataloader

    @dataloader.setter
    def dataloader(self, loader: Any) -> None:
        self._dataloader = from_tensors(loader, self.pairs)

    def pairs(self) -> bool:
        """Tell whether the model, as it is now, needs two rows a batch."""
        return self.is_training and needs_two(self.model)


def pair_rows(strategy: Any) -> None:
    """Let no training batch of a plain Avalanche strategy have one row, if its model needs two.

    Call it before an epoch: then the model is adapted, and the loader is the one that is used.
    """
    if not isinstance(strategy, TensorBatches) and needs_two(strategy.model):
        strategy.dataloader = from_tensors(strategy.dataloader, lambda: True)
