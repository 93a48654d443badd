"""All tasks at once."""

from __future__ import annotations

from typing import Any

from cl_moe.strategies.methods.base import Method, MethodContext

__all__ = ("joint",)


def joint(context: MethodContext, /) -> Method:
    """Train one dense network on all tasks together: what continual learning would like to reach.

    It takes as many steps as the other methods take over the whole stream, on batches drawn from
    all tasks' rows alike.
    """
    from cl_moe.strategies.networks import dense_network

    network = dense_network(context)

    def strategy() -> Any:
        from cl_moe.strategies.baselines.joint import JointStrategy
        from cl_moe.training.model import TaskModel

        model = TaskModel(network, objectives=context.objectives)
        return JointStrategy(model=model, training=context.training, device=context.device)

    return Method(strategy, joint=True)
