"""What a backbone is: a network with named slots for experts."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from torch import Tensor, nn

from cl_moe.moe.context import RoutingContext
from cl_moe.moe.freezing import FreezableDict
from cl_moe.moe.layer import MoELayer

__all__ = ("Backbone", "Stage")


class Stage(NamedTuple):
    """A part of a task's path, from one output to the next.

    Attributes:
        key: what it depends on; two tasks whose stages have equal keys share them.
        run: takes the output below and gives its own.
    """

    key: object
    run: Callable[[Tensor], Tensor]


class Backbone(nn.Module, ABC):
    """Any network, from rows to features, with slots in which experts work.

    Attributes:
        base: what is neither expert nor gate: it learns with the first task, or not at all, and is
            frozen then.
        context: tells the slots the task of a pass.
        learns_base: whether the first task trains the base.

    Args:
        base: that, by name.
        layers: the slots, in the order in which they run.
        names: a name for each.
    """

    learns_base = True

    def __init__(
        self, base: dict[str, nn.Module], layers: Sequence[MoELayer], names: Sequence[str]
    ) -> None:
        super().__init__()
        self.base = FreezableDict(base)
        self.layers = nn.ModuleList(layers)
        self.context = RoutingContext()
        for layer, name in zip(layers, names, strict=True):
            layer.name, layer.context = name, self.context

    @property
    def slots(self) -> dict[str, MoELayer]:
        """The layers of experts by name, in the order in which they run."""
        return {layer.name: layer for layer in self.slot_list}

    @property
    def slot_list(self) -> list[MoELayer]:
        """The layers of experts, in the order in which they run."""
        return list(self.layers)  # type: ignore[arg-type]

    @property
    @abstractmethod
    def feature_dim(self) -> int:
        """Length D of the features."""

    def prepare(self, x: Tensor) -> None:
        """See some rows (B, ...) of a task before it is decided on: sizes may be unknown before."""

    def sizes(self) -> dict[str, Any] | None:
        """Return what :meth:`prepare` has found, in plain values; None where it finds nothing."""
        return None

    def set_sizes(self, sizes: Mapping[str, Any]) -> None:
        """Take what :meth:`sizes` gave."""

    def encode(self, x: Tensor) -> Tensor:
        """Return what the first stage of every path reads."""
        return x

    @abstractmethod
    def raw(self, z: Tensor) -> Tensor:
        """Return what heads read as the raw input, (B, D_raw), of what :meth:`encode` gives."""

    @abstractmethod
    def stages(self, task: int) -> list[Stage]:
        """Return a task's path in parts that are called in turn, after :meth:`encode`."""

    @abstractmethod
    def candidate(self, z: Tensor, kept: int, task: int | None) -> Tensor:
        """Return what the slots after the first ``kept`` read, where a candidate can begin there.

        Args:
            z: what :meth:`encode` gives.
            kept: slots from the input up that a candidate keeps as they are.
            task: the task whose experts it keeps; None where it keeps none.
        """

    @abstractmethod
    def run_candidate(self, z: Tensor, experts: Sequence[nn.Module], task: int | None) -> Tensor:
        """Return features (B, D) with other experts in the last slots.

        Args:
            z: what :meth:`candidate` gives.
            experts: a module for each slot that is not kept.
            task: the task whose experts the other slots have.
        """

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, D) of rows for the task of the context."""

    def encoders(self) -> dict[str, nn.Module]:
        """Return the modules that make what stages read out of rows, by name."""
        return {}

    def raw_modules(self) -> list[nn.Module]:
        """Return modules that make the raw input that heads read out of what stages read."""
        return []

    @abstractmethod
    def modules_for(self, task: int) -> list[nn.Module]:
        """Return modules to call in turn, from what stages read to features (B, ...).

        They do what a task's path does, without a context; nothing is copied but gates.
        """

    @abstractmethod
    def stage_modules(self, task: int) -> list[nn.Module]:
        """Return the same, in the parts of :meth:`stages`."""

    def unslotted(self) -> list[nn.Module]:
        """Return the largest parts of the base that hold no slot: what copies may share."""
        return [*self.base.values()]
