"""The interface of heads."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from cl_moe.moe.blocks import OWN, Block

__all__ = ("Head",)


class Head(nn.Module, ABC):
    """Maps named features to the outputs of one task, (B, C).

    A head declares the features that it reads (:attr:`blocks`); the network runs only the stages
    that these need. No code outside this folder depends on the kind of a head.

    Attributes:
        blocks: the features that it reads, in order.
    """

    blocks: Sequence[Block]
    serves_all = False
    """Whether the heads of later tasks are derived from the first task's head."""
    fits = True
    """Whether it can be initialised with a linear map that was fitted to its features."""

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
        """Return a head with further outputs and unchanged first ones."""

    def describe(self) -> dict[str, Any]:
        """Return the plain values that, with its tensors, are needed to restore the head."""
        return {}

    @classmethod
    @abstractmethod
    def restored(cls, plain: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> Head:
        """Return a head of this kind from the results of :meth:`describe` and ``state_dict``."""

    def on_features(self) -> nn.Module:
        """Return a module that maps features (B, D) of the task's own path to outputs (B, C).

        It shares this head's parameters.
        """
        return _OnFeatures(self)

    def for_later_task(self, n_outputs: int) -> Head:
        """Return the head of a later task, where one head is shared by all tasks."""
        return self.select(range(n_outputs))

    @property
    def sources(self) -> Mapping[int, float]:
        """The tasks whose paths the head reads, and their shares; empty for the task's own path.

        The raw input is task -1.
        """
        return {}

    @property
    def reads_own_path(self) -> bool:
        """Whether it reads the task's own path."""
        return OWN in self.blocks


class _OnFeatures(nn.Module):
    """A head as a module of features (B, D)."""

    def __init__(self, head: Head) -> None:
        super().__init__()
        self.head = head

    def forward(self, features: Tensor) -> Tensor:
        outputs: Tensor = self.head({OWN: features})
        return outputs
