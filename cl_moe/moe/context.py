"""The state of a forward pass that the slots of a network share."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

from cl_moe.moe.routing import Routing

__all__ = ("RoutingContext",)


class RoutingContext:
    """Gives every slot of a network the task of the current forward pass.

    A backbone calls its slots with rows only, as it calls any module, so any network can hold
    slots. Each network has one context.

    Attributes:
        task: label of the task that all rows belong to; None outside a pass.
        experts: modules that replace the task's experts, by slot: a candidate in training that is
            not part of the network.
        routings: the routing of each slot in this pass, in the order of the slots.

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
        """Set the task of a pass and the modules that replace its experts; passes may be nested."""
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
