"""Costs of methods relative to a dense network on the same tasks, from a fitted table.

``cost_model.json`` holds, for each kind of method, quotients measured in the studies of
``results/``; ``python -m benchmarks.cost_model`` fits it again. Seconds are not in it: they are
measured on the current machine (:mod:`cl_moe.runs.estimates.calibration`).
"""

from __future__ import annotations

import functools
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from cl_moe.runs.plan import Job, MethodPlan

__all__ = ("TABLE", "MethodCost", "Spread", "kind", "longest_first", "method_cost")

TABLE = Path(__file__).with_name("cost_model.json")


@dataclass(frozen=True)
class Spread:
    """Minimum, median and maximum over studies.

    >>> Spread(1.0, 2.0, 4.0).mid
    2.0
    """

    low: float
    mid: float
    high: float


@dataclass(frozen=True)
class MethodCost:
    """The cost of a kind of method.

    Args:
        training: its time of training, decisions included, over that of the dense network.
        decisions: the share of decisions in this time.
        experts: final number of experts, or networks, per task; None: one for all tasks.
        again: the share of earlier tasks whose predictions change when a task is learned, and which
            are evaluated again.
        studies: number of fitted studies; 0: none, the cost of a dense network is assumed.
    """

    training: Spread = Spread(1.0, 1.0, 1.0)
    decisions: float = 0.0
    experts: Spread | None = None
    again: float = 1.0
    studies: int = 0


def kind(method: MethodPlan) -> str:
    """Return the key of a method in the table: its type, and its growth policy if one is given.

    >>> kind(MethodPlan("dense", "dense"))
    'dense'
    >>> kind(MethodPlan("mntdp", "moe", {"growth": "mntdp"}))
    'moe, growth mntdp'
    """
    growth = method.parameters.get("growth")
    return method.type if growth is None else f"{method.type}, growth {growth}"


def method_cost(method: MethodPlan) -> MethodCost:
    """Return the cost of a method; without measurements that of its type, or of dense.

    >>> method_cost(MethodPlan("dense", "dense")).training.mid
    1.0
    >>> method_cost(MethodPlan("mine", "mine:Method")).studies
    0
    """
    table = _table()
    return table.get(kind(method), table.get(method.type, MethodCost()))


def longest_first(jobs: Iterable[Job]) -> list[Job]:
    """Return jobs in the order of starting several at once, longest first.

    So the last jobs are short, and no core waits long (Graham 1969). Jobs of equal cost keep their
    order.

    >>> methods = [MethodPlan(name, name) for name in ("nearest_mean", "dense", "joint")]
    >>> [job.label for job in longest_first(Job(m, seed) for seed in (0, 1) for m in methods)][:3]
    ['joint, seed 0', 'joint, seed 1', 'dense, seed 0']
    """
    return sorted(jobs, key=lambda job: -method_cost(job.method).training.mid)


@functools.cache
def _table() -> dict[str, MethodCost]:
    entries = json.loads(TABLE.read_text(encoding="utf-8"))["methods"]
    return {
        name: MethodCost(
            training=Spread(*entry["training"]),
            decisions=entry["decisions"],
            experts=None if entry["experts"] is None else Spread(*entry["experts"]),
            again=entry["again"],
            studies=entry["studies"],
        )
        for name, entry in entries.items()
    }
