"""Experts that are copies of their host."""

from __future__ import annotations

import copy

from torch import nn

from cl_moe.moe.experts.base import HostExpert, Shape

__all__ = ("CopyExpert",)


class CopyExpert(HostExpert):
    """Each expert is initialised as a copy of the host and replaces it.

    Sparse upcycling (Komatsuzaki et al. 2023, "Sparse upcycling: training mixture-of-experts from
    dense checkpoints"). Parameters that are frozen in the host (``requires_grad`` off) are frozen
    in copies, too.

    >>> host = nn.Linear(2, 3)
    >>> expert = CopyExpert().make(host, (2,), (3,))
    >>> expert.weight is not host.weight and bool((expert.weight == host.weight).all())
    True
    """

    placement = "replace"

    def make(self, host: nn.Module, in_shape: Shape, out_shape: Shape) -> nn.Module:
        """Return a copy.

        Raises:
            ValueError: the host has no trainable parameter.
        """
        if not any(parameter.requires_grad for parameter in host.parameters()):
            raise ValueError(
                "none of its parameters takes gradients, so a copy of it cannot be trained; "
                "call requires_grad_() on it first, or give expert = 'adapter'"
            )
        return copy.deepcopy(host).train()
