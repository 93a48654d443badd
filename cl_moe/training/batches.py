"""Batches straight from tensors for any Avalanche strategy."""

from __future__ import annotations

from typing import Any

from cl_moe.moe.normalisation import needs_two
from cl_moe.training.loader import from_tensors

__all__ = ("TensorBatches", "pair_rows")


class TensorBatches:
    """A mixin that replaces the loader of a strategy or its plugins by a tensor loader.

    Avalanche fetches a batch sample by sample, and visits every sample before each epoch, which
    takes most of the time of a small network. This mixin replaces the loader by one that takes the
    same rows by indexing, wherever the data are tensors without transforms per sample; elsewhere
    samples are fetched as before. Joint batches with a memory, as in ``ReplayPlugin``, are
    supported. Batches, random numbers and results are the same, bit for bit.

    It comes before the strategy among the bases:

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
        """The loader in use; a loader that is set is replaced where the data are tensors."""
        return self._dataloader

    @dataloader.setter
    def dataloader(self, loader: Any) -> None:
        self._dataloader = from_tensors(loader, self.pairs)

    def pairs(self) -> bool:
        """Tell whether the model needs two rows per batch in its current state."""
        return self.is_training and needs_two(self.model)


def pair_rows(strategy: Any) -> None:
    """Avoid training batches of one row in an Avalanche strategy whose model needs two.

    Call it before an epoch, when the model is adapted and the loader is final.
    """
    if not isinstance(strategy, TensorBatches) and needs_two(strategy.model):
        strategy.dataloader = from_tensors(strategy.dataloader, lambda: True)
