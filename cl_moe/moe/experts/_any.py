"""Experts made by a user's function."""

from __future__ import annotations

from cl_moe.moe.experts.base import ExpertFactory, StageFactory

__all__ = ("AnyModule",)


class AnyModule(ExpertFactory):
    """Experts made by any callable that takes an input shape and returns an ``nn.Module``.

    It is one stage: it fits one MoE layer, and cannot be widened.

    >>> import torch
    >>> from cl_moe.moe.experts.base import cut
    >>> (trunk,) = cut(AnyModule(lambda shape: torch.nn.Linear(*shape, 5)).stages(), 1)
    >>> trunk((3,))(torch.zeros(2, 3)).shape
    torch.Size([2, 5])
    """

    def __init__(self, make: StageFactory) -> None:
        self.make = make

    def stages(self) -> list[StageFactory]:
        """Return the callable, the only stage."""
        return [self.make]

    def widened(self, factor: float) -> ExpertFactory:
        """Raise: the structure of such an expert is unknown."""
        raise ValueError(
            "an expert given as a function cannot be widened; give an ExpertFactory "
            "(cl_moe.moe.experts.base) with a 'widened' of its own"
        )
