"""What the slots of a network know of the pass that is under way."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from cl_moe.moe.routing import Routing

__all__ = ("RoutingContext",)


class RoutingContext:
    """Tells the slots of a network, wherever they sit in it, which task the rows belong to.

    A backbone calls its slots with rows alone, as it would call any module; so any network can hold
    them. There is one context a network.

    Attributes:
        task: label of the task that all rows belong to; None outside a pass.
        experts: modules that stand in, slot by slot, for the task's experts: a candidate in
            training, which is not part of the network.
        routings: what the gate of each slot has chosen in this pass, in the order of the slots.

    >>> context = RoutingContext()
    >>> with context.of(task=3):
    ...     context.task
    3
    >>> context.task is None
    True
    """

    def __init__(self) -> None:
        self.task: int | None = None
        self.experts: Mapping[str, nn.Module] = {}
        self.routings: dict[str, Routing] = {}

    @contextmanager
    def of(
        self, task: int | None, experts: Mapping[str, nn.Module] | None = None
    ) -> Iterator[RoutingContext]:
        """Set the task of a pass, and what stands in for its experts; passes may be nested."""
        before = (self.task, self.experts, self.routings)
        self.task, self.experts, self.routings = task, experts or {}, {}
        try:
            yield self
        finally:
            self.task, self.experts, self.routings = before

    def losses(self) -> dict[str, Tensor]:
        """Return the sum over the slots of each auxiliary loss of this pass."""
        found: dict[str, Tensor] = {}
        for routing in self.routings.values():
            for name, loss in routing.losses.items():
                found[name] = found[name] + loss if name in found else loss
        return found
