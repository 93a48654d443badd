"""Avalanche's A-GEM in a form that can be copied, without batches of one row."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.plugins import AGEMPlugin

from cl_moe.batching import needs_two

__all__ = ("CopyableAGEM",)


class CopyableAGEM(AGEMPlugin):
    """A-GEM whose iteration over the memory restarts in a copy, as iterators cannot be copied.

    Where the model needs two rows per batch, a single row of the memory is joined with the next
    ones.
    """

    _pairs = False

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Store whether the model needs two rows per batch."""
        self._pairs = needs_two(strategy.model)

    def sample_from_memory(self) -> Any:
        """Return a batch of the memory: inputs, labels, ..., task labels."""
        batch = super().sample_from_memory()
        while self._pairs and len(batch[0]) == 1:
            batch = [
                torch.cat(both) for both in zip(batch, super().sample_from_memory(), strict=True)
            ]
        return batch

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "buffer_dliter"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self.buffer_dliter = iter(self.buffer_dataloader or ())
