"""Costs of a run: parameters, operations, steps, experts, seconds, decisions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

import numpy as np
import pandas as pd

from cl_moe.analysis.data import StudyData

__all__ = ("COSTS", "costs", "decision_share", "decisions")

# How the rows of one run (one per task) are aggregated. Sizes are those after the last task;
# active parameters and operations are per task, and averaged over tasks.
COSTS = {
    "parameters": "last",
    "active_parameters": "mean",
    "flops_predict": "mean",
    "flops_train": "mean",
    "experts": "last",
    "steps": "sum",
}
PEAK = "peak_memory"


def costs(rows: pd.DataFrame, timings: pd.DataFrame, stream_length: int) -> dict[str, float]:
    """Return the costs of one run; costs without rows are absent.

    Args:
        rows: the run's rows; those with a metric of :data:`COSTS` count.
        timings: the run's timings; every column that ends in ``_seconds`` is added up, and of
            ``peak_memory`` the largest counts.
        stream_length: T; the costs of probes (after_task >= T) are excluded.

    >>> rows = pd.DataFrame(
    ...     {
    ...         "after_task": [0, 1, 0, 1],
    ...         "value": [100.0, 150.0, 7.0, 8.0],
    ...         "metric": ["parameters", "parameters", "steps", "steps"],
    ...     }
    ... )
    >>> timings = pd.DataFrame({"after_task": [0, 1], "train_seconds": [1.0, 2.0]})
    >>> costs(rows, timings, stream_length=2)
    {'parameters': 150.0, 'steps': 15.0, 'train_seconds': 3.0}
    """
    found = {}
    stream = rows[rows["after_task"] < stream_length].sort_values("after_task")
    for metric, how in COSTS.items():
        values = stream.loc[stream["metric"] == metric, "value"].dropna()
        if len(values):
            found[metric] = float(values.iloc[-1] if how == "last" else values.agg(how))
    spent = timings[timings["after_task"] < stream_length]
    for column in (str(name) for name in timings if str(name).endswith("_seconds")):
        if spent[column].notna().any():
            found[column] = float(np.nansum(spent[column].astype(float)))
    if PEAK in spent and spent[PEAK].notna().any():
        found[PEAK] = float(spent[PEAK].max())
    return found


def decision_share(costs: Mapping[str, float]) -> float:
    """Return the share of decisions in the training time of a run, both in CPU seconds.

    Training time includes decisions with all their candidates. NaN if a time is not known, or
    nothing was trained. Older studies have only wall-clock training times.

    >>> decision_share({"cpu_seconds": 8.0, "decision_seconds": 2.0})
    0.25
    """
    nan = float("nan")
    trained = costs.get("cpu_seconds", costs.get("train_seconds", nan))
    return costs.get("decision_seconds", nan) / trained if trained else nan


def decisions(data: StudyData) -> Iterator[tuple[str, int, int]]:
    """Yield (method, seed, number of decisions on stream tasks) of every run with events."""
    count: dict[tuple[str, int], int] = {}
    for event in data.events:
        if int(event["task"]) < len(data.stream_tasks):
            key = (str(event["method"]), int(event["seed"]))
            count[key] = count.get(key, 0) + 1
    for (method, seed), number in count.items():
        yield method, seed, number
