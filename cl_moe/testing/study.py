"""A small synthetic study with data for every figure."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.frames import PAIR_COLUMNS, ROW_COLUMNS, TASK_COLUMNS

__all__ = ("made_up",)

METHODS = ("moe", "dense", "single_task")
SIZES = (8, 64)


def made_up(
    tasks: int = 3, methods: Sequence[str] = METHODS, seeds: int = 2, *, bare: bool = False
) -> StudyData:
    """Return a study with accuracies computed by a formula.

    Args:
        tasks: number of tasks of the stream.
        methods: names among moe, dense and single_task.
        seeds: runs per method.
        bare: without probes, events, timings, costs and pairs of tasks.

    >>> made_up().stream_tasks, made_up(bare=True).events
    (['task0', 'task1', 'task2'], [])
    """
    names = [f"task{k}" for k in range(tasks)]
    runs = [(method, seed) for method in methods for seed in range(seeds)]
    rows = [row for run in runs for row in _rows(*run, names, bare)]
    table: list[Any] = [
        (k, name, "late" if k else "early", None, None, 100, 50, 2, False)
        for k, name in enumerate(names)
    ]
    if not bare:
        table += [
            (tasks + i, f"unseen-{n}", None, "unseen", "low resource", n, 50, 2, True)
            for i, n in enumerate(SIZES)
        ]
    more: dict[str, Any] = {}
    if not bare:
        more["events"] = [e for m, seed in runs if m == "moe" for e in _events(seed, names)]
        more["timings"] = pd.DataFrame(
            [(*run, k, 2.0, 0.5, 0.3) for run in runs for k in range(tasks)],
            columns=["method", "seed", "after_task", "train_seconds", "decision_seconds",
                     "eval_seconds"],
        )  # fmt: skip
        more["pairs"] = pd.DataFrame(
            [(*run, a, b, 0.7) for run in runs for a in names for b in names if a != b],
            columns=list(PAIR_COLUMNS),
        )
    return StudyData(
        rows=pd.DataFrame(rows, columns=[*ROW_COLUMNS, "epoch"]),
        tasks=pd.DataFrame(table, columns=list(TASK_COLUMNS)),
        methods=pd.DataFrame({"method": list(methods), "type": list(methods)}),
        baseline="dense" if "dense" in methods else None,
        name="made up",
        **more,
    )


def _rows(method: str, seed: int, names: list[str], bare: bool) -> list[tuple[Any, ...]]:
    lost = {"dense": 0.1}.get(method, 0.0)
    rows: list[tuple[Any, ...]] = []
    for k, name in enumerate(names):
        for j in range(k + 1):
            value = max(0.0, 0.9 - 0.02 * j - lost * (k - j) + 0.01 * seed)
            rows.append((method, seed, k, names[j], "accuracy", value, np.nan))
        if not bare:
            costs = {"parameters": 1e3 * (k + 1), "active_parameters": 1e3, "experts": k + 1,
                     "flops_predict": 2e3, "steps": 100}  # fmt: skip
            rows += [(method, seed, k, name, m, value, np.nan) for m, value in costs.items()]
            rows += [(method, seed, k, name, "accuracy", 0.3 * e, e) for e in range(3)]
    if not bare:
        rows += [
            (method, seed, len(names), f"unseen-{n}", "accuracy", 0.5 + n / 200, np.nan)
            for n in SIZES
        ]
    return rows


def _events(seed: int, names: list[str]) -> list[dict[str, Any]]:
    return [
        {
            "method": "moe", "seed": seed, "task": k, "name": name, "source": None,
            "kind": "fresh", "path": [[f"e{k}"]], "frozen": [], "new_experts": [[0, f"e{k}"]],
            "usage": [{f"e{k}": 1.0}], "candidates": [], "experts": k + 1, "seconds": 0.5,
            "sentence": f"task {k} '{name}': fresh",
        }
        for k, name in enumerate(names)
    ]  # fmt: skip
