"""What a head is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from cl_moe.moe.blocks import OWN, Block

__all__ = ("Head",)


class Head(nn.Module, ABC):
    """Reads named features and gives the outputs of one task, (B, C).

    A head says what it reads (:attr:`blocks`); the network runs what is needed for that and no
    more. Nothing outside this folder asks which kind of head it is.

    Attributes:
        blocks: what it reads, in the order in which it reads it.
    """

    blocks: Sequence[Block]
    serves_all = False
    """Whether later tasks get theirs from the first task's head."""
    fits = True
    """Whether a linear map that was fitted to its features can stand in its place at the start."""

    @property
    @abstractmethod
    def n_outputs(self) -> int:
        """Number of outputs C."""

    @abstractmethod
    def forward(self, values: Mapping[Block, Tensor]) -> Tensor:
        """Return the outputs (B, C) from the values of the blocks, each (B, D_b)."""

    @abstractmethod
    def select(self, outputs: Sequence[int]) -> Head:
        """Return a copy whose output c is this head's output ``outputs[c]``."""

    @abstractmethod
    def widened(self, n_outputs: int) -> Head:
        """Return a head with further outputs, the first ones as they are here."""

    def describe(self) -> dict[str, Any]:
        """Return what it takes to make such a head again beside its tensors, in plain values."""
        return {}

    @classmethod
    @abstractmethod
    def restored(cls, plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Head:
        """Return a head of this kind from what :meth:`describe` and ``state_dict`` gave."""

    def on_features(self) -> nn.Module:
        """Return a module that maps features (B, D) of the task's own path to outputs (B, C).

        It holds this head's parameters, which are not copied.
        """
        return _OnFeatures(self)

    def for_later_task(self, n_outputs: int) -> Head:
        """Return the head of a later task, where this one serves all tasks."""
        return self.select(range(n_outputs))

    @property
    def sources(self) -> Mapping[int, float]:
        """The tasks through whose paths it is answered and their shares; empty for the task's own.

        The raw input is task -1.
        """
        return {}

    @property
    def reads_own_path(self) -> bool:
        """Whether it reads the task's own path."""
        return OWN in self.blocks


class _OnFeatures(nn.Module):
    """A head that is called with features (B, D)."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        outputs: Tensor = self.head({OWN: features})
        return outputs
