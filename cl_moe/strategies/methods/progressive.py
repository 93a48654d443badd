"""Progressive networks."""

from __future__ import annotations

from cl_moe.strategies.methods.base import Method, MethodContext, sequential

__all__ = ("progressive",)


def progressive(context: MethodContext, /) -> Method:
    """Grow one column per task, which reads the frozen columns of earlier tasks.

    Rusu et al. 2016, "Progressive neural networks"; for perceptrons and convolutions, see
    :class:`cl_moe.strategies.baselines.progressive.ProgressiveNetwork`. Parameters and time grow
    with the square of the number of tasks.
    """
    from cl_moe.seeding import derive
    from cl_moe.strategies.baselines.progressive import ProgressiveNetwork
    from cl_moe.strategies.networks import trunk_stages

    stages = trunk_stages(context.network)
    shape, seed = tuple(context.stream.shape), derive(context.seed, "network")
    return sequential(context, ProgressiveNetwork(stages, shape, seed))
