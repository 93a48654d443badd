"""The score of a task: accuracy, or the score of its objective."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cl_moe.objectives import SCORES

if TYPE_CHECKING:
    import pandas as pd

__all__ = ("LEAST", "NAMES", "score_label", "score_rows")

LABELS = {"accuracy": "accuracy", "r2": "R2", "f1": "F1"}
NAMES = {"accuracy": "accuracies", "r2": "R2 scores", "f1": "F1 scores"}
LEAST = {"accuracy": 0.0, "r2": -math.inf, "f1": 0.0}
"""The minimum of each score; the maximum is 1."""


def score_rows(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows of every task's primary metric: the first that it has of accuracy, r2, f1.

    >>> import pandas as pd
    >>> rows = pd.DataFrame(
    ...     {"task": ["a", "b", "b"], "metric": ["accuracy", "r2", "rmse"], "value": [0.5, -1, 2]}
    ... )
    >>> score_rows(rows)["metric"].tolist()
    ['accuracy', 'r2']
    """
    known = list(SCORES.values())
    found = rows[rows["metric"].isin(known)]
    rank = found["metric"].map(known.index)
    return found[rank == rank.groupby(found["task"]).transform("min")]


def score_label(scores: Iterable[str]) -> str:
    """Return the common label of tasks with these primary metrics.

    >>> score_label(["accuracy", "accuracy"]), score_label(["r2"]), score_label(["r2", "accuracy"])
    ('accuracy', 'R2', 'score (accuracy, R2)')
    """
    used = set(scores)
    names = [name for metric, name in LABELS.items() if metric in used]
    return f"score ({', '.join(names)})" if len(names) > 1 else names[0] if names else "accuracy"
