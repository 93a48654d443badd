"""The table of metrics: label, unit, direction and requirements."""

from __future__ import annotations

import types
from collections.abc import Iterable, Mapping

from cl_moe import catalog
from cl_moe.analysis.metrics import accuracy
from cl_moe.analysis.metrics.base import Metric
from cl_moe.errors import InputError

__all__ = ("METRICS", "heading", "label", "metric_called", "metrics_from_outside")


_END = "the accuracy on every task after the last one"
_BACK = "two tasks or more, and each task's accuracy right after it was learned and at the end"
_OWN = "each task's accuracy right after it was learned"
_PROBES = "unseen tasks (probes) in the scenario, and their accuracy"

METRICS: Mapping[str, Metric] = types.MappingProxyType(
    {
        "average_accuracy": Metric(
            "average accuracy", "share", True, _END, accuracy.average_accuracy
        ),
        "average_incremental_accuracy": Metric(
            "average incremental accuracy", "share", True,
            "the accuracy on all tasks so far after every task",
            accuracy.average_incremental_accuracy,
        ),
        "forgetting": Metric("forgetting", "share", False, _BACK, accuracy.forgetting),
        "backward_transfer": Metric(
            "backward transfer", "share", True, _BACK, accuracy.backward_transfer
        ),
        "forward_transfer": Metric(
            "forward transfer (zero-shot)", "share", True,
            "the accuracy on a task before it is learned and at initialisation; "
            "a network with one head per task has neither",
        ),
        "learning_transfer": Metric(
            "learning transfer", "share", True, f"{_OWN}, and a method of type single_task"
        ),
        "last_task_transfer": Metric(
            "last task's transfer", "share", True,
            "two tasks or more, the last one's accuracy, and a method of type single_task",
        ),
        "intransigence": Metric(
            "intransigence", "share", False, f"{_OWN}, and a method of type joint"
        ),
        "learning_curve_area": Metric(
            "learning-curve area", "share", True,
            "test accuracies at the first epochs, 0 to 5, while each task was learned",
        ),
        "unrelated_task_slope": Metric(
            "change per unrelated task", "share", True,
            "tasks of group or relation 'unrelated' after others, and the others' accuracy",
        ),
        "probe_accuracy": Metric("unseen tasks' accuracy", "share", True, _PROBES),
        "probe_transfer": Metric(
            "unseen tasks' transfer", "share", True, f"{_PROBES}, and a method of type single_task"
        ),
        "samples_to_target": Metric(
            "samples to target", "examples", False,
            "an unseen task at two sizes or more, also learned by a method of type single_task",
        ),
        "parameters": Metric("parameters", "count", False, "rows of this metric"),
        "active_parameters": Metric("active parameters", "count", False, "rows of this metric"),
        "flops_predict": Metric(
            "FLOPs per sample (predict)", "operations", False, "rows of this metric"
        ),
        "flops_train": Metric(
            "FLOPs per sample (train)", "operations", False, "rows of this metric"
        ),
        "experts": Metric("experts", "count", None, "a method with experts"),
        "steps": Metric("steps", "count", None, "rows of this metric"),
        "peak_memory": Metric("peak memory", "MiB", False, "timings"),
        "train_seconds": Metric("training time", "seconds", False, "timings"),
        "decision_seconds": Metric("decisions' CPU time", "seconds", False, "timings"),
        "eval_seconds": Metric("evaluation time", "seconds", False, "timings"),
        "cpu_seconds": Metric("CPU time", "seconds", False, "timings"),
        "decision_share": Metric(
            "decisions' share of training time", "share", None,
            "timings of a method that logs its decisions",
        ),
        "decisions": Metric("decisions", "count", None, "a method that logs its decisions"),
        "diverged": Metric("diverged runs", "count", None, "a run whose loss is not finite"),
    }
)  # fmt: skip


def metric_called(name: str) -> Metric | None:
    """Return a built-in or third-party metric; None for other metrics of rows.

    Raises:
        InputError: a third-party metric cannot be loaded, or is not a metric.

    >>> metric_called("forgetting").unit, metric_called("queue_seconds")
    ('share', None)
    """
    if name in METRICS:
        return METRICS[name]
    if ":" not in name and name not in catalog.names("metric"):
        return None
    found = catalog.resolve("metric", name, "metrics")
    if not isinstance(found, Metric) or found.function is None:
        raise InputError(
            f"metrics: '{name}' is not a metric; give a cl_moe.analysis.metrics.base:Metric with "
            "its function"
        )
    return found


def metrics_from_outside(named: Iterable[str] = ()) -> dict[str, Metric]:
    """Return third-party metrics by name: the declared ones, and those given.

    A metric with two names is returned once, under the first.

    Raises:
        InputError: a name is unknown, or names no metric: all problems.
    """
    declared = [name for name in catalog.names("metric") if name not in METRICS]
    found: dict[str, Metric] = {}
    problems: list[str] = []
    for name in dict.fromkeys([*declared, *named]):
        try:
            metric = metric_called(name) or catalog.resolve("metric", name, "metrics")
        except InputError as error:
            problems += error.problems
            continue
        if name not in METRICS and metric not in found.values():
            found[name] = metric
    if problems:
        raise InputError(problems)
    return found


def label(metric: str, group: str | None = None, score: str = "accuracy") -> str:
    """Return a metric's label, with its task group.

    Args:
        metric: its name.
        group: of tasks.
        score: the label of the score, ``StudyData.score``.

    >>> label("forgetting"), label("average_accuracy", "low_resource")
    ('forgetting', 'average accuracy, low resource')
    >>> label("average_accuracy", score="R2")
    'average R2'
    >>> label("queue_seconds")
    'queue seconds'
    """
    known = metric_called(metric)
    name = known.label.replace("accuracy", score) if known else metric.replace("_", " ")
    return f"{name}, {group.replace('_', ' ')}" if group else name


def heading(metric: str, group: str | None = None, score: str = "accuracy") -> str:
    """Return :func:`label` with the unit of times and memory.

    >>> heading("train_seconds"), heading("forgetting")
    ('training time (s)', 'forgetting')
    """
    known = metric_called(metric)
    unit = {"seconds": " (s)", "MiB": " (MiB)"}.get(known.unit, "") if known else ""
    return label(metric, group, score) + unit
