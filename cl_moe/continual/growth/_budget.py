"""A limit on experts: what each is worth to earlier tasks, and which one to give up."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cl_moe.moe.heads import EvidenceHead
from cl_moe.moe.network import RAW, MoENetwork

__all__ = ("full_layers", "importance", "least_important", "readers")


def readers(network: MoENetwork) -> dict[tuple[int, str], dict[int, float]]:
    """Return, for each (layer, expert id), the tasks answered through it and their share of use.

    A task with a path of its own uses its experts wholly; one that averages earlier paths uses
    those paths' experts by the weight of each path.
    """
    found: dict[tuple[int, str], dict[int, float]] = {}

    def read(task: int, path_of: int, weight: float) -> None:
        for depth, experts in enumerate(network.path(path_of)):
            for id_ in experts:
                shares = found.setdefault((depth, id_), {})
                shares[task] = shares.get(task, 0.0) + weight / len(experts)

    for task in network.tasks:
        head = network.heads[str(task)]
        if isinstance(head, EvidenceHead):
            for key, weight in head.weights.items():
                if key.task != RAW.task:
                    read(task, key.task, weight)
        else:
            read(task, task, 1.0)
    return found


def importance(network: MoENetwork, worth: Mapping[int, float]) -> dict[tuple[int, str], float]:
    """Return what each (layer, expert id) is worth: sum over tasks of share x worth of the task.

    Args:
        network: the network.
        worth: accuracy above chance of each task when it was learned, 0 to 1; unknown counts 1.
    """
    return {
        place: sum(share * worth.get(task, 1.0) for task, share in shares.items())
        for place, shares in readers(network).items()
    }


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
    worth: Mapping[int, float],
) -> int:
    """Return the task, among ``sources``, whose experts in ``layers`` matter least to all tasks."""
    value = importance(network, worth)

    def cost(task: int) -> float:
        path = network.path(task)
        return sum(value[depth, id_] for depth in layers for id_ in path[depth])

    return min(sources, key=cost)
