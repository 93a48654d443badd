"""No growth: all tasks share the experts that exist."""

from __future__ import annotations

from cl_moe.continual.decision import Decision, decide_path
from cl_moe.continual.growth.base import GrowthPolicy
from cl_moe.continual.view import TaskView
from cl_moe.moe.network import MoENetwork

__all__ = ("FixedPool",)


class FixedPool(GrowthPolicy):
    """Makes all experts available to every task; the gate routes, and nothing is frozen.

    The standard sparse mixture of experts on a stream of tasks: a control for growth.

    >>> FixedPool().freezes
    False
    """

    freezes = False

    def decide(self, view: TaskView, network: MoENetwork) -> Decision:
        """Return all experts of every layer and a fresh head."""
        path = tuple(tuple(layer.pool.ids) for layer in network.moe_layers)
        head = network.new_head(view.task, view.n_classes)
        return Decision("fixed", decide_path(network, view.task, path, head))
