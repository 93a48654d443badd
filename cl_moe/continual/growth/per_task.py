"""One expert per task."""

from __future__ import annotations

from cl_moe.continual.decision import Decision, decide_path, fresh_expert
from cl_moe.continual.growth.base import GrowthPolicy
from cl_moe.continual.view import TaskView
from cl_moe.moe.network import MoENetwork

__all__ = ("PerTask",)


class PerTask(GrowthPolicy):
    """Gives each task a fresh expert in every layer and freezes it afterwards.

    The growth of progressive networks (Rusu et al. 2016) without lateral connections: no
    forgetting, no transfer, and a size that grows with every task.

    >>> PerTask().freezes
    True
    """

    def decide(self, view: TaskView, network: MoENetwork) -> Decision:
        """Return a fresh path and a fresh head."""
        path = tuple((fresh_expert(layer),) for layer in network.moe_layers)
        head = network.new_head(view.task, view.n_classes)
        return Decision("fresh", decide_path(network, view.task, path, head))
