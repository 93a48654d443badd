"""A limit on experts: the full layers, and the least important experts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cl_moe.continual.usage import importance, readers
from cl_moe.moe.network import MoENetwork

__all__ = ("full_layers", "least_important", "users")


def full_layers(network: MoENetwork, max_experts: int | None) -> list[int]:
    """Return the layers that may not grow: as many experts in use as the budget allows.

    Experts that no task uses do not count.
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
    """Return the task in ``sources`` whose experts in ``layers`` have the least importance."""
    value = importance(network, task_importance)

    def cost(task: int) -> float:
        path = network.path(task)
        return sum(value[depth, id_] for depth in layers for id_ in path[depth])

    return min(sources, key=cost)


def users(task: int, layers: Sequence[int], network: MoENetwork) -> float:
    """Return the number of tasks that use a task's experts in ``layers``, the maximum over layers.

    A task with an ensemble counts by the weight of the path.
    """
    if not layers:
        return 0.0
    use, path = readers(network), network.path(task)
    return max(sum(use[depth, id_].values()) for depth in layers for id_ in path[depth])
