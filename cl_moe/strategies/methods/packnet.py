"""PackNet."""

from __future__ import annotations

from typing import Any

from cl_moe.strategies.methods.base import Method, MethodContext, require, sequential

__all__ = ("packnet",)


def packnet(
    context: MethodContext, /, *, keep: float | None = None, retrain: float = 0.4
) -> Method:
    """Assign each task some of one network's weights, and freeze these.

    Mallya & Lazebnik 2018, "PackNet: adding multiple tasks to a single network by iterative
    pruning". Pruning and retraining take place within the common budget of steps.

    Args:
        context: the settings that all methods share.
        keep: share of the free weights that a task gets, as in the paper (0.5 leaves a tenth task
            one weight in a thousand); None gives equal shares of all weights, for which the number
            of tasks must be known from the start.
        retrain: share of a task's steps after pruning.
    """
    from cl_moe.moe.experts.base import cut
    from cl_moe.seeding import derive
    from cl_moe.strategies.baselines.packed import PackedNetwork
    from cl_moe.strategies.networks import trunk_stages

    require(
        {
            f"keep: {keep} is not above 0 and up to 1": keep is None or 0 < keep <= 1,
            f"retrain: {retrain} is not between 0 and 1": 0 <= retrain < 1,
        }
    )
    (trunk,) = cut(trunk_stages(context.network), 1)
    shape, seed = tuple(context.stream.shape), derive(context.seed, "network")
    # each probe is learned from a copy, so all probes need one share together
    tasks = len(context.stream) + bool(context.stream.probes)

    def plugins() -> list[Any]:
        from cl_moe.strategies.baselines.packnet import PackNetPlugin

        return [PackNetPlugin(tasks, keep, retrain)]

    return sequential(context, PackedNetwork(trunk, shape, seed), plugins)
