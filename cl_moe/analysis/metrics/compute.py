"""All metrics of a study in one tidy frame."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from weakref import WeakKeyDictionary

import numpy as np
import pandas as pd

from cl_moe.analysis.data import Array, StudyData, by_run, initial_accuracy, learning_curves
from cl_moe.analysis.divergence import divergences
from cl_moe.analysis.metrics import transfer
from cl_moe.analysis.metrics.accuracy import mean, sampled_incremental_accuracy
from cl_moe.analysis.metrics.base import Metric
from cl_moe.analysis.metrics.cost import costs, decision_share, decisions
from cl_moe.analysis.metrics.learning import (
    learning_curve_area,
    probe_families,
    samples_to_target,
    unrelated_slope,
    unrelated_split,
)
from cl_moe.analysis.metrics.names import METRICS, metrics_from_outside
from cl_moe.analysis.scores import score_rows
from cl_moe.errors import InputError

__all__ = ("compute",)

# Cache by study, since tables, reports and figures all need these values.
_computed: WeakKeyDictionary[StudyData, pd.DataFrame] = WeakKeyDictionary()

COLUMNS = ("method", "seed", "metric", "group", "value")
Value = tuple[str, str | None, float]  # metric, group, value
Probes = Mapping[tuple[str, int], Mapping[str, float]]


def compute(data: StudyData) -> pd.DataFrame:
    """Return every metric of every run: method, seed, metric, group, value.

    ``group`` is None for all tasks, or the name of a task group (a metric over that group's tasks
    only, in the place they have in the whole stream). A value is NaN where the metric is
    undefined for the run; ``METRICS[name].needs`` states the requirements. Metrics of probes, of
    unrelated tasks and of cost are absent if the study has none of these. The references
    (single_task, joint) are runs of the same seed. For tasks other than
    classification, the score (r2, f1) replaces accuracy in every metric.
    ``diverged`` is 1 for a run whose loss is not finite and 0 for the others, and absent if
    there is no such run. Third-party metrics, declared or in ``data.metrics``, are included.

    Raises:
        InputError: a third-party metric cannot be loaded, is not a metric, or fails.

    >>> rows = pd.DataFrame(
    ...     [
    ...         ("dense", 0, 0, "a", "accuracy", 0.9),
    ...         ("dense", 0, 1, "a", "accuracy", 0.5),
    ...         ("dense", 0, 1, "b", "accuracy", 0.8),
    ...     ],
    ...     columns=["method", "seed", "after_task", "task", "metric", "value"],
    ... )
    >>> tasks = pd.DataFrame(
    ...     {
    ...         "position": [0, 1],
    ...         "task": ["a", "b"],
    ...         "group": None,
    ...         "derived_from": None,
    ...         "relation": None,
    ...         "n_train": 9,
    ...         "n_test": 9,
    ...         "n_classes": 2,
    ...         "probe": False,
    ...     }
    ... )
    >>> methods = pd.DataFrame({"method": ["dense"], "type": ["dense"]})
    >>> values = compute(StudyData(rows, tasks, methods)).set_index("metric")["value"]
    >>> round(values["average_accuracy"], 3), round(values["forgetting"], 3)
    (np.float64(0.65), np.float64(0.4))
    >>> values["learning_transfer"]  # no method of type single_task
    np.float64(nan)
    """
    if data not in _computed:
        _computed[data] = _compute(data)
    return _computed[data].copy()


def _compute(data: StudyData) -> pd.DataFrame:
    matrices = data.accuracies()
    joint = {s: a_TT[-1] for (m, s), a_TT in matrices.items() if m == data.of_type("joint")}
    unknown = np.full(len(data.stream_tasks), np.nan)
    references = _References(transfer.single_task_accuracies(data), joint, unknown)
    probes = _probe_accuracies(data)
    timings = by_run(data.timings)
    diverged = {(run.method, run.seed) for run in divergences(data)}
    decided = {(method, seed): number for method, seed, number in decisions(data)}
    found: list[tuple[str, int, str, str | None, float]] = []
    for run, rows in by_run(data.rows).items():
        values = [
            *_of_stream(data, rows, *run, matrices.get(run), references),
            *_of_probes(data, probes, *run),
            *_of_cost(data, rows, timings.get(run), decided.get(run, 0)),
        ]
        if diverged:
            values.append(("diverged", None, float(run in diverged)))
        found += [(*run, *value) for value in values]
    frame = pd.DataFrame(found, columns=list(COLUMNS))
    order = {name: position for position, name in enumerate(data.method_names)}
    frame = frame.assign(order=frame["method"].map(order))
    frame = frame.sort_values(["order", "seed"], kind="stable", ignore_index=True)
    # None, not NaN, for "all tasks": it goes to JSON as null and compares equal to itself.
    groups = [None if pd.isna(group) else group for group in frame["group"]]
    return frame.assign(group=pd.Series(groups, dtype=object))[list(COLUMNS)]


@dataclass(frozen=True)
class _References:
    """Accuracies of the reference methods by seed, each of shape [T]."""

    single_task: Mapping[int, Array]
    joint: Mapping[int, Array]
    unknown: Array

    def of(self, seed: int) -> tuple[Array, Array]:
        return self.single_task.get(seed, self.unknown), self.joint.get(seed, self.unknown)


def _of_stream(
    data: StudyData,
    rows: pd.DataFrame,
    method: str,
    seed: int,
    a_TT: Array | None,
    references: _References,
) -> Iterator[Value]:
    tasks = data.stream_tasks
    if not tasks:
        return
    if a_TT is None:
        a_TT = np.full((len(tasks), len(tasks)), np.nan)
    initial_T = initial_accuracy(rows, method, seed, tasks)
    single_task_T, joint_T = references.of(seed)
    curves = learning_curves(rows, method, seed)
    area_T = np.array([learning_curve_area(curves.get(task, [])) for task in tasks])
    a = a_TT
    matrix = {name: metric for name, metric in METRICS.items() if metric.function}
    matrix |= metrics_from_outside(data.metrics)
    grouped: dict[str, Callable[[Sequence[int]], float]] = {
        **{name: partial(_of_matrix, name, metric, a) for name, metric in matrix.items()},
        "forward_transfer": lambda c: transfer.forward_transfer(a, initial_T, c),
        "learning_transfer": lambda c: transfer.learning_transfer(a, single_task_T, c),
        "intransigence": lambda c: transfer.intransigence(a, joint_T, c),
        "learning_curve_area": lambda c: mean(area_T[list(c)]),
    }
    if data.sampled:
        grouped["average_incremental_accuracy"] = partial(sampled_incremental_accuracy, a)
    for group, members in [(None, tasks), *data.groups().items()]:
        columns = [tasks.index(member) for member in members]
        for metric, function in grouped.items():
            yield metric, group, function(columns)
    yield "last_task_transfer", None, transfer.last_task_transfer(a, single_task_T)
    base, unrelated = unrelated_split(data)
    if unrelated:
        yield "unrelated_task_slope", None, unrelated_slope(a, base, unrelated)


def _of_matrix(name: str, metric: Metric, a_TT: Array, columns: Sequence[int]) -> float:
    try:
        return metric.of(a_TT, columns)
    except Exception as error:
        if name in METRICS:
            raise
        raise InputError(
            f"metric '{name}' fails ({type(error).__name__}: {error}); fix it, or uninstall the "
            "package that declares it"
        ) from error


def _probe_accuracies(data: StudyData) -> Probes:
    """Return {(method, seed): {probe: accuracy, or the task's other score}}."""
    rows = data.rows
    wanted = rows["task"].isin(data.probes["task"])
    at_end = rows["epoch"].isna() & (rows["after_task"] == len(data.stream_tasks))
    found: dict[tuple[str, int], dict[str, float]] = {}
    for row in score_rows(rows[wanted & at_end]).to_dict("records"):
        run = found.setdefault((str(row["method"]), int(row["seed"])), {})
        run[str(row["task"])] = float(row["value"])
    return found


def _of_probes(data: StudyData, probes: Probes, method: str, seed: int) -> Iterator[Value]:
    everything = [str(name) for name in data.probes["task"]]
    if not everything:
        return
    own, nan = probes.get((method, seed), {}), float("nan")
    single_task = probes.get((data.of_type("single_task") or "", seed), {})
    families = probe_families(data).values()
    for group, members in [(None, everything), *data.groups(probe=True).items()]:
        yield "probe_accuracy", group, mean([own.get(p, nan) for p in members])
        gains = [own.get(p, nan) - single_task.get(p, nan) for p in members]
        yield "probe_transfer", group, mean(gains)
        curves = [sizes for sizes in families if set(sizes.values()) <= set(members)]
        if curves:
            reached = [
                samples_to_target(
                    {n: own[p] for n, p in sizes.items() if p in own},
                    {n: single_task[p] for n, p in sizes.items() if p in single_task},
                )
                for sizes in curves
            ]
            yield "samples_to_target", group, mean(reached)


def _of_cost(
    data: StudyData, rows: pd.DataFrame, timings: pd.DataFrame | None, decided: int
) -> Iterator[Value]:
    spent = data.timings.iloc[:0] if timings is None else timings
    found = costs(rows, spent, len(data.stream_tasks))
    for metric, value in found.items():
        yield metric, None, value
    if decided:
        yield "decisions", None, float(decided)
        yield "decision_share", None, decision_share(found)
