"""Checks of a run's records: ranges of metrics, and the rows that belong to its tasks."""

from __future__ import annotations

import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cl_moe.errors import did_you_mean, one_per_cause
from cl_moe.objectives import SCORES

__all__ = ("COSTS", "METRICS", "Expected", "run_problems", "tuning_problems")

Record = Mapping[str, Any]


class Range(NamedTuple):
    """The values of a metric: from ``least`` to ``most``; NaN too, if it may be ``undefined``.

    With ``diverges``, it is not finite where the loss is not.
    """

    least: float
    most: float
    undefined: bool = False
    diverges: bool = False


METRICS: Mapping[str, Range] = {
    "accuracy": Range(0.0, 1.0),
    "r2": Range(-math.inf, 1.0, undefined=True),
    "f1": Range(0.0, 1.0, undefined=True),
    "exact_match": Range(0.0, 1.0),
    "rmse": Range(0.0, math.inf, diverges=True),
    "loss": Range(0.0, math.inf, undefined=True),
    "parameters": Range(0.0, math.inf),
    "active_parameters": Range(0.0, math.inf),
    "flops_predict": Range(0.0, math.inf),
    "experts": Range(0.0, math.inf),
    "steps": Range(0.0, math.inf),
}
"""All metrics of rows. A loss that is not finite is a result: training has diverged."""

COSTS = frozenset({"parameters", "active_parameters", "flops_predict", "experts", "steps"})
"""Metrics that are measured once per task that is learned; others are of evaluations."""

_EVALUATIONS = (
    frozenset({"accuracy", "loss"}),
    frozenset({"r2", "rmse", "loss"}),
    frozenset({"f1", "exact_match", "loss"}),
)
_SCORES = frozenset(SCORES.values())


class Expected(NamedTuple):
    """The tasks of a run.

    Args:
        stream: names in the order of learning.
        probes: names of the tasks that are learned from the state at the end.
        every: number of tasks after which all are evaluated.

    >>> Expected(["a", "b", "c"], [], every=2).evaluated()
    [1, 2]
    """

    stream: Sequence[str]
    probes: Sequence[str]
    every: int = 1

    def evaluated(self) -> list[int]:
        """Return the positions of tasks after which all tasks are evaluated."""
        last = len(self.stream) - 1
        return [k for k in range(last + 1) if (k + 1) % self.every == 0 or k == last]


def run_problems(
    rows: Sequence[Record], timings: Sequence[Record], expected: Expected
) -> list[str]:
    """Return what is wrong with the records of one run, one sentence a cause.

    Args:
        rows: as in ``rows.csv``.
        timings: as in ``timings.csv``.
        expected: the tasks of the run.

    >>> row = {"after_task": 0, "task": "a", "metric": "accuracy", "value": 1.5, "epoch": None}
    >>> run_problems([row], [{"after_task": 0}], Expected(["a"], []))[0]
    "accuracy of 'a' after task 0 is 1.5; 0 to 1 is right"
    """
    wrong = [*_values(rows)]
    wrong += [] if wrong else _places(rows, expected)
    if wrong:
        return one_per_cause(wrong)
    stages = [timing["after_task"] for timing in timings]
    last, probes = len(expected.stream) - 1, [len(expected.stream)] * len(expected.probes)
    joint = [last, *probes]
    if stages not in ([*range(last + 1), *probes], joint):
        wanted = ", ".join(map(str, [*range(last + 1), *probes]))
        found = ", ".join(map(str, stages)) or "none"
        return [f"timings after tasks {found}; there should be one after each of {wanted}"]
    at_once = stages == joint and last > 0
    return one_per_cause(_missing(rows, expected, at_once=at_once))


def tuning_problems(tried: Sequence[Record], methods: Sequence[Record], path: Path) -> list[str]:
    """Return what is wrong with the table of tried settings.

    Args:
        tried: as in ``tuning.csv``.
        methods: as in study.json.
        path: of the table.

    >>> row = {"method": "ewc", "parameters": '{"strength": 1}', "value": 2.0, "chosen": "no"}
    >>> tuning_problems([row], [{"name": "ewc"}], Path("tuning.csv"))
    ["tuning.csv, line 2: value 2.0 of 'ewc'; a score is at most 1, or nan where it diverged"]
    """
    problems = []
    for line, row in enumerate(tried, start=2):
        if not (row["value"] <= 1.0 or row["value"] != row["value"]):
            problems.append(
                f"{path}, line {line}: value {row['value']} of '{row['method']}'; a score is at "
                "most 1, or nan where it diverged"
            )
        if row["chosen"] not in ("yes", "no"):
            problems.append(f"{path}, line {line}: chosen is '{row['chosen']}'; yes or no is right")
    for method in methods:
        grid = (method.get("grid") or {}) if method.get("chosen") else {}
        count = math.prod(len(set(map(json.dumps, values))) for values in grid.values())
        mine = [row for row in tried if row["method"] == method["name"]]
        if grid and len(mine) < count:
            problems.append(
                f"{path}: {len(mine)} of {count} settings of '{method['name']}'; is it cut off?"
            )
    return problems


def _values(rows: Sequence[Record]) -> Iterator[tuple[str, str]]:
    diverged = {
        (row["after_task"], row["task"])
        for row in rows
        if row["metric"] == "loss" and not math.isfinite(row["value"])
    }
    for row in rows:
        metric, value = row["metric"], row["value"]
        found = METRICS.get(metric)
        if found is None:
            yield metric, f"no metric '{metric}'; {did_you_mean(metric, METRICS)}"
        elif row["epoch"] is not None and metric not in _SCORES:
            yield "curve", f"{metric} of '{row['task']}' has an epoch; only scores have one"
        elif not (
            (found.least <= value <= found.most and (metric not in COSTS or value != math.inf))
            or (found.undefined and value != value)
            or (found.diverges and (row["after_task"], row["task"]) in diverged)
        ):
            upper = "more" if found.most == math.inf else f"{found.most:g}"
            bounds = f"at most {upper}" if found.least == -math.inf else f"0 to {upper}"
            bounds = "0 or more" if upper == "more" else bounds
            yield metric, f"{_named(row)} is {value:g}; {bounds} is right"


def _places(rows: Sequence[Record], expected: Expected) -> Iterator[tuple[str, str]]:
    """Yield rows of tasks and positions that the run does not have."""
    count, stream, probes = len(expected.stream), set(expected.stream), set(expected.probes)
    for row in rows:
        after, task = row["after_task"], row["task"]
        if not (task in stream if after < count else task in probes and after == count):
            yield (
                "place",
                f"{_named(row)}: there is no such task then; the stream has {count} tasks, and "
                f"probes are learned after task {count}",
            )


def _missing(
    rows: Sequence[Record], expected: Expected, *, at_once: bool
) -> Iterator[tuple[str, str]]:
    """Yield evaluations and costs of which a row is missing.

    Args:
        rows: the run's.
        expected: its tasks.
        at_once: whether the tasks of the stream are learned jointly.
    """
    count = len(expected.stream)
    metrics: dict[tuple[int, str], set[str]] = defaultdict(set)
    curves: dict[tuple[int, str], list[int]] = defaultdict(list)
    for row in rows:
        at = row["after_task"], row["task"]
        if row["epoch"] is None:
            metrics[at].add(row["metric"])
        else:
            curves[at].append(row["epoch"])
    learned = [(k, name) for k, name in enumerate(expected.stream) if not at_once or k == count - 1]
    learned += [(count, name) for name in expected.probes]
    costs = metrics[learned[0]] & COSTS
    for at in learned:
        if "steps" not in metrics[at] or metrics[at] & COSTS != costs:
            yield "costs", f"no steps or costs of '{at[1]}', learned after task {at[0] - 1}"
    for at, found in metrics.items():
        if (found - COSTS) not in _EVALUATIONS and found - COSTS:
            yield "evaluation", f"of '{at[1]}' after task {at[0]} there is {_words(found - COSTS)}"
        if found & COSTS and at not in learned:
            yield "costs", f"costs of '{at[1]}' after task {at[0]}, where it was not learned"
    for at, epochs in curves.items():
        if epochs != list(range(len(epochs))) or at not in learned:
            yield "curve", f"the learning curve of '{at[1]}' after task {at[0]} has gaps"
    before: set[str] = set()
    for k in [-1, *([count - 1] if at_once else expected.evaluated())]:
        known = {name for name in expected.stream if metrics.get((k, name), set()) - COSTS}
        for name in sorted(before - known):
            yield "evaluation", f"no evaluation of '{name}' after task {k}, which was known before"
        before = known


def _words(metrics: set[str]) -> str:
    return " and ".join(sorted(metrics)) + " alone"


def _named(row: Record) -> str:
    return f"{row['metric']} of '{row['task']}' after task {row['after_task']}"
