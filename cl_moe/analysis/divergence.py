"""Runs that diverged: their loss is not finite, so their accuracies are meaningless."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from cl_moe.analysis.data import StudyData

__all__ = ("Divergence", "diverged_methods", "divergence_warnings", "divergences")

MOST_RUNS = 5
ADVICE = "its accuracies are meaningless; try a lower learning_rate."


class Divergence(NamedTuple):
    """A run whose loss is not finite.

    Attributes:
        method: its label.
        seed: of the run.
        loss: the first loss that is not finite: nan or inf, in nats.
        when: ``after task 'mnist'``: the first task after which it is not finite.
    """

    method: str
    seed: int
    loss: float
    when: str


def divergences(data: StudyData) -> list[Divergence]:
    """Return the runs that diverged, in the order of methods and seeds.

    >>> import pandas as pd
    >>> from cl_moe.analysis.frames import ROW_COLUMNS, TASK_COLUMNS
    >>> row = ("dense", 0, 0, "mnist", "loss", float("nan"))
    >>> tasks = pd.DataFrame([(0, "mnist", None, None, None, 9, 9, 2, False)], columns=TASK_COLUMNS)
    >>> methods = pd.DataFrame({"method": ["dense"], "type": ["dense"]})
    >>> data = StudyData(pd.DataFrame([row], columns=ROW_COLUMNS), tasks, methods)
    >>> divergences(data)
    [Divergence(method='dense', seed=0, loss=nan, when="after task 'mnist'")]
    """
    rows = data.rows[data.rows["metric"] == "loss"]
    rows = rows[~np.isfinite(rows["value"].to_numpy(dtype=float))]
    first = rows.sort_values("after_task", kind="stable").drop_duplicates(["method", "seed"])
    found = [
        Divergence(
            str(row["method"]),
            int(row["seed"]),
            float(row["value"]),
            _when(data, int(row["after_task"]), str(row["task"])),
        )
        for row in first.to_dict("records")
    ]
    order = {name: position for position, name in enumerate(data.method_names)}
    return sorted(found, key=lambda run: (order[run.method], run.seed))


def _when(data: StudyData, after: int, evaluated: str) -> str:
    """Return in words after which task a row was measured; for a probe, its own name."""
    if after < 0:
        return "before the first task"
    tasks = data.stream_tasks
    return f"after task '{tasks[after] if after < len(tasks) else evaluated}'"


def diverged_methods(data: StudyData) -> dict[str, int]:
    """Return the number of diverged runs by method."""
    methods = [run.method for run in divergences(data)]
    return {method: methods.count(method) for method in dict.fromkeys(methods)}


def divergence_warnings(data: StudyData) -> list[str]:
    """Return a sentence for each method with diverged runs, on the stream or on pairs."""
    runs, found = divergences(data), []
    seeds = data.rows.groupby("method")["seed"].nunique()
    for method, count in diverged_methods(data).items():
        told = [f"seed {run.seed}: loss {run.loss:g} {run.when}"
                for run in runs if run.method == method]  # fmt: skip
        more = [f"and {count - MOST_RUNS} more"] if count > MOST_RUNS else []
        total = int(seeds[method])
        found.append(
            f"{method} diverged in {count} of {total} seed{'s' if total != 1 else ''} "
            f"({'; '.join(told[:MOST_RUNS] + more)}): {ADVICE}"
        )
    return found + _in_pairs(data)


def _in_pairs(data: StudyData) -> list[str]:
    """Return a sentence for each method with diverged pairs, whose accuracy is undefined."""
    found = []
    for method, pairs in data.pairs.groupby("method", sort=False):
        lost = pairs[pairs["value"].isna()]
        if len(lost):
            first = lost.iloc[0]
            found.append(
                f"{method} diverged in {len(lost)} of {len(pairs)} runs of a pair (seed "
                f"{first['seed']}: task '{first['task']}' after '{first['after']}'): they are "
                "excluded; try a lower learning_rate."
            )
    return found
