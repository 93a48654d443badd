"""A limit on experts: where it is reached, and which expert to give up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cl_moe.continual.usage import importance, readers
from cl_moe.moe.network import MoENetwork

__all__ = ("full_layers", "least_important", "users")


def full_layers(network: MoENetwork, max_experts: int | None) -> list[int]:
    """Return the layers that may not grow: as many experts in use as the budget allows.

    An expert that no task uses yet is room, not use.
    """
    if max_experts is None:
        return []
    used = [len({i for e in layer.assigned.values() for i in e}) for layer in network.moe_layers]
    return [depth for depth, count in enumerate(used) if count >= max_experts]


def least_important(
    sources: Sequence[int],
    layers: Sequence[int],
    network: MoENetwork,
    task_importance: Mapping[int, float],
) -> int:
    """Return the task, among ``sources``, whose experts in ``layers`` matter least to all tasks."""
    value = importance(network, task_importance)

    def cost(task: int) -> float:
        path = network.path(task)
        return sum(value[depth, id_] for depth in layers for id_ in path[depth])

    return min(sources, key=cost)


def users(task: int, layers: Sequence[int], network: MoENetwork) -> float:
    """Return how many tasks use the experts of a task in ``layers``, at most of any of them.

    A task that averages counts by the weight of the path.
    """
    if not layers:
        return 0.0
    use, path = readers(network), network.path(task)
    return max(sum(use[depth, id_].values()) for depth in layers for id_ in path[depth])
