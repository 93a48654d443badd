"""Who uses which expert, and what an expert is worth to the tasks that use it."""

from __future__ import annotations

from collections.abc import Mapping

from cl_moe.moe.blocks import RAW
from cl_moe.moe.network import MoENetwork

__all__ = ("importance", "readers")


def readers(network: MoENetwork) -> dict[tuple[int, str], dict[int, float]]:
    """Return, for each (layer, expert id), the tasks answered through it and their share of use.

    A task with a path of its own uses its experts wholly; one that averages earlier paths uses
    those paths' experts by the weight of each path.
    """
    found: dict[tuple[int, str], dict[int, float]] = {}

    def read(task: int, source: int, weight: float) -> None:
        if not network.owns_path(source):
            for path_of, share in network.head(source).sources.items():
                if path_of != RAW.task:
                    read(task, path_of, weight * share)
            return
        for depth, experts in enumerate(network.path(source)):
            for id_ in experts:
                shares = found.setdefault((depth, id_), {})
                shares[task] = shares.get(task, 0.0) + weight / len(experts)

    for task in network.tasks:
        read(task, task, 1.0)
    return found


def importance(
    network: MoENetwork, task_importance: Mapping[int, float]
) -> dict[tuple[int, str], float]:
    """Return what each (layer, expert id) is worth: sum over tasks of share x worth of the task.

    Args:
        network: the network.
        task_importance: accuracy above chance of each task when it was learned, 0 to 1; unknown counts 1.
    """
    return {
        place: sum(share * task_importance.get(task, 1.0) for task, share in shares.items())
        for place, shares in readers(network).items()
    }
