"""A model a task."""

from __future__ import annotations

from cl_moe.strategies.methods.base import Method, MethodContext, sequential

__all__ = ("single_task",)


def single_task(context: MethodContext, /) -> Method:
    """Train a fresh dense network for each task: nothing is shared, so nothing is forgotten.

    What every other method is measured against: transfer is accuracy above it. Each network has
    the size of ``dense``, the active parameters of a mixture with one expert a row.
    """
    from cl_moe.moe.experts.base import cut
    from cl_moe.seeding import derive
    from cl_moe.strategies.baselines.single_task import SingleTaskNetwork
    from cl_moe.strategies.networks import trunk_stages

    (trunk,) = cut(trunk_stages(context.network), 1)
    network = SingleTaskNetwork(trunk, tuple(context.stream.shape), derive(context.seed, "network"))
    return sequential(context, network)
