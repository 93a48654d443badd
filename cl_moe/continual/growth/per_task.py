"""One expert per task."""

from __future__ import annotations

from cl_moe.continual.growth.base import GrowthDecision, GrowthPolicy, fresh_expert
from cl_moe.continual.view import TaskView
from cl_moe.moe.network import MoENetwork

__all__ = ("PerTask",)


class PerTask(GrowthPolicy):
    """Gives each task a fresh expert in every layer and freezes it afterwards.

    The growth of progressive networks (Rusu et al. 2016) without lateral connections: nothing is
    forgotten and nothing is transferred, and size grows with every task.

    >>> PerTask().freezes
    True
    """

    def decide(self, view: TaskView, network: MoENetwork) -> GrowthDecision:
        """Return a fresh path and a fresh head."""
        path = tuple((fresh_expert(layer),) for layer in network.moe_layers)
        return GrowthDecision("fresh", path, network.new_head(view.task, view.n_classes))
