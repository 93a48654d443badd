"""The interface of backbones: networks with named slots for experts."""

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
        key: identifies what the stage depends on; two tasks share stages with equal keys.
        run: maps the output of the stage below to its own output.
    """

    key: object
    run: Callable[[Tensor], Tensor]


class Backbone(nn.Module, ABC):
    """Any network from rows to features, with slots for experts.

    Attributes:
        base: the modules that are neither experts nor gates; they are trained on the first task or
            not at all, and then frozen.
        context: gives the slots the task of the current pass.
        learns_base: whether the first task trains the base.

    Args:
        base: these modules, by name.
        layers: the slots, in the order in which they run.
        names: the name of each slot.
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
        """Find sizes that depend on the input, from some rows (B, ...) of a task."""

    def sizes(self) -> dict[str, Any] | None:
        """Return the sizes that :meth:`prepare` found, as plain values; None for none."""
        return None

    def set_sizes(self, sizes: Mapping[str, Any]) -> None:
        """Restore the sizes that :meth:`sizes` returned."""

    def encode(self, x: Tensor) -> Tensor:
        """Return the input of the first stage, the same for all paths."""
        return x

    @abstractmethod
    def raw(self, z: Tensor) -> Tensor:
        """Return the raw input of heads, (B, D_raw), from the output of :meth:`encode`."""

    @abstractmethod
    def stages(self, task: int) -> list[Stage]:
        """Return the stages of a task's path, to be called in turn after :meth:`encode`."""

    @abstractmethod
    def candidate(self, z: Tensor, kept: int, task: int | None) -> Tensor:
        """Return the input of the slots after the first ``kept``, for a candidate to start there.

        Args:
            z: the output of :meth:`encode`.
            kept: number of slots, from the input up, whose experts a candidate keeps.
            task: the task whose experts are kept; None where none are.
        """

    @abstractmethod
    def run_candidate(self, z: Tensor, experts: Sequence[nn.Module], task: int | None) -> Tensor:
        """Return features (B, D) with other experts in the last slots.

        Args:
            z: the output of :meth:`candidate`.
            experts: a module for each other slot.
            task: the task whose experts are in the kept slots.
        """

    @abstractmethod
    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, D) of rows for the task of the context."""

    def encoders(self) -> dict[str, nn.Module]:
        """Return the modules that map rows to the input of the stages, by name."""
        return {}

    def raw_modules(self) -> list[nn.Module]:
        """Return the modules that map the input of the stages to the raw input of heads."""
        return []

    @abstractmethod
    def modules_for(self, task: int) -> list[nn.Module]:
        """Return modules to call in turn, from the input of the stages to features (B, ...).

        They compute a task's path without a context; only gates are copied.
        """

    @abstractmethod
    def stage_modules(self, task: int) -> list[nn.Module]:
        """Return the same modules, one per stage of :meth:`stages`."""

    def unslotted(self) -> list[nn.Module]:
        """Return the largest parts of the base without slots, which copies may share."""
        return [*self.base.values()]
