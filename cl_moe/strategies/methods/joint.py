"""All tasks at once."""

from __future__ import annotations

from typing import Any

from cl_moe.strategies.methods.base import Method, MethodContext

__all__ = ("joint",)


def joint(context: MethodContext, /) -> Method:
    """Train one dense network on all tasks together: the usual upper bound.

    It takes as many steps as the other methods on the whole stream, on batches drawn uniformly from
    all tasks' rows.
    """
    from cl_moe.strategies.networks import dense_network

    network = dense_network(context)

    def strategy() -> Any:
        from cl_moe.strategies.baselines.joint import JointStrategy
        from cl_moe.training.model import TaskModel

        model = TaskModel(network, objectives=context.objectives)
        return JointStrategy(model=model, training=context.training, device=context.device)

    return Method(strategy, joint=True)
