"""What each metric is called, which way is better, and what it needs to be defined."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

__all__ = ("METRICS", "Metric", "heading", "label")


@dataclass(frozen=True)
class Metric:
    """How to print a metric, and when it exists.

    Args:
        label: its name for people.
        unit: ``share`` is in 0..1 (or a difference of two such) and is printed in points.
        higher_is_better: None where neither way is better in itself.
        needs: why it is undefined when it is; completes the sentence "needs ...".
    """

    label: str
    unit: Literal["share", "count", "operations", "seconds", "examples", "MiB"]
    higher_is_better: bool | None
    needs: str


_END = "the accuracy on every task after the last one"
_BACK = "two tasks or more, and each task's accuracy right after it was learned and at the end"
_OWN = "each task's accuracy right after it was learned"
_PROBES = "unseen tasks (probes) in the scenario, and their accuracy"

METRICS: Mapping[str, Metric] = types.MappingProxyType(
    {
        "average_accuracy": Metric("average accuracy", "share", True, _END),
        "average_incremental_accuracy": Metric(
            "average incremental accuracy", "share", True,
            "the accuracy on all tasks so far after every task",
        ),
        "forgetting": Metric("forgetting", "share", False, _BACK),
        "backward_transfer": Metric("backward transfer", "share", True, _BACK),
        "forward_transfer": Metric(
            "forward transfer (zero-shot)", "share", True,
            "the accuracy on a task before it is learned and at initialisation; "
            "a network with one head a task has neither",
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
            "unseen tasks' transfer", "share", True, f"{_PROBES}, also of a method of type single_task"
        ),
        "samples_to_target": Metric(
            "samples to target", "examples", False,
            "an unseen task at two sizes or more, also learned by a method of type single_task",
        ),
        "parameters": Metric("parameters", "count", False, "rows of this metric"),
        "active_parameters": Metric("active parameters", "count", False, "rows of this metric"),
        "flops_predict": Metric("FLOPs a sample (predict)", "operations", False, "such rows"),
        "flops_train": Metric("FLOPs a sample (train)", "operations", False, "such rows"),
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


def label(metric: str, group: str | None = None, score: str = "accuracy") -> str:
    """Return a metric's name for people, with its task group.

    Args:
        metric: its name.
        group: of tasks.
        score: what the study's tasks are measured by, ``StudyData.score``.

    >>> label("forgetting"), label("average_accuracy", "low_resource")
    ('forgetting', 'average accuracy, low resource')
    >>> label("average_accuracy", score="R2")
    'average R2'
    >>> label("queue_seconds")
    'queue seconds'
    """
    known = METRICS.get(metric)
    name = known.label.replace("accuracy", score) if known else metric.replace("_", " ")
    return f"{name}, {group.replace('_', ' ')}" if group else name


def heading(metric: str, group: str | None = None, score: str = "accuracy") -> str:
    """Return :func:`label` with the unit, where numbers do not show theirs.

    >>> heading("train_seconds"), heading("forgetting")
    ('training time (s)', 'forgetting')
    """
    known = METRICS.get(metric)
    unit = {"seconds": " (s)", "MiB": " (MiB)"}.get(known.unit, "") if known else ""
    return label(metric, group, score) + unit
