"""Notes below a table: the tasks and seeds of its means, and the meaning of a star."""

from __future__ import annotations

from collections.abc import Iterable

import pandas as pd

from cl_moe.analysis.best import joint_methods
from cl_moe.analysis.data import StudyData
from cl_moe.analysis.stats import ENOUGH

__all__ = ("DIVERGED", "STEPS", "averaged", "over_seeds", "table_note")

STEPS = (
    "Steps are all optimizer steps of a run, including those of candidates that a method trained "
    "for its decisions, which are extra training."
)
DIVERGED = "Diverged: the loss is not finite, so accuracies are meaningless; not compared."
SAMPLED = (
    "Between tasks a random sample of the earlier ones was evaluated (after the last task, all): "
    "averages over time are unbiased estimates, forgetting is from the measured accuracies."
)
STAR = (
    "* significantly better than every other compared method: the 95 % intervals of the "
    "differences, paired by seed, exclude 0."
)


def table_note(data: StudyData, kinds: set[str], has_groups: bool) -> str:
    """Return a table's note.

    Args:
        data: the study.
        kinds: ``Interval.kind`` of the table's intervals.
        has_groups: the table has columns for groups of tasks.
    """
    score = data.score
    points = {"accuracy": "Accuracies in points (per cent)."}.get(
        score, f"{score[0].upper()}{score[1:]} in points (hundredths of 1)."
    )
    note = f"{points} {averaged(data)} {over_seeds(data.rows, kinds)}"
    if has_groups:
        note += f" A column named after a group of tasks is its average {score}."
    joint = ", ".join(joint_methods(data))
    sees = f" Not compared: {joint}, which is trained on all tasks at once." if joint else ""
    return f"{note} {STAR}{sees}" if data.rows["seed"].nunique() >= ENOUGH else note


def averaged(data: StudyData) -> str:
    """Return a sentence on the groups of tasks that averages are taken over."""
    tasks, groups = data.stream_tasks, data.groups()
    of_groups = [f"{len(members)} {group.replace('_', ' ')}" for group, members in groups.items()]
    rest = len(tasks) - sum(map(len, groups.values()))
    kinds = [*of_groups, *([f"{rest} of no group"] if rest and groups else [])]
    of = f"{len(tasks)} task{'s' if len(tasks) != 1 else ''}"
    said = f"Averages are means of {of}{': ' + ', '.join(kinds) if kinds else ''}."
    return f"{said} {SAMPLED}" if data.sampled else said


def over_seeds(rows: pd.DataFrame, kinds: Iterable[str]) -> str:
    """Return a sentence on the number of seeds and the kind of the intervals.

    >>> over_seeds(pd.DataFrame({"seed": [0, 1, 2]}), {"t"})
    "Mean over 3 seeds; 95 % interval: Student's t (±)."
    >>> over_seeds(pd.DataFrame({"seed": [0]}), {"none"})
    'Mean over 1 seed, which is fewer than 3; one seed has no interval.'
    """
    ways = {"t": "Student's t (±)", "bootstrap": "bootstrap ([low, high])"}
    way = " or ".join(text for kind, text in ways.items() if kind in set(kinds))
    seeds = rows["seed"].nunique()
    over = f"Mean over {seeds} seed{'s' if seeds != 1 else ''}"
    over += f", which is fewer than {ENOUGH}; " if seeds < ENOUGH else "; "
    return over + (f"95 % interval: {way}." if way else "one seed has no interval.")
