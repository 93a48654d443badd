"""The frames of a study, and the columns that they must have."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from cl_moe.analysis.scores import score_rows
from cl_moe.objectives import SCORES

__all__ = (
    "PAIR_COLUMNS", "ROW_COLUMNS", "ROW_KEY", "SECONDS", "TASK_COLUMNS", "TIMING_COLUMNS", "Frames",
)  # fmt: skip

ROW_COLUMNS = ("method", "seed", "after_task", "task", "metric", "value")
ROW_KEY = ("method", "seed", "after_task", "task", "metric", "epoch")
TASK_COLUMNS = (
    "position", "task", "group", "derived_from", "relation",
    "n_train", "n_test", "n_classes", "probe",
)  # fmt: skip
TIMING_COLUMNS = ("method", "seed", "after_task")
PAIR_COLUMNS = ("method", "seed", "after", "task", "value")
SECONDS = ("train_seconds", "decision_seconds", "eval_seconds")


def _no_timings() -> pd.DataFrame:
    return pd.DataFrame(columns=[*TIMING_COLUMNS, *SECONDS])


def _no_pairs() -> pd.DataFrame:
    return pd.DataFrame(columns=list(PAIR_COLUMNS))


@dataclass(frozen=True, eq=False)
class Frames:
    """The frames of a study, not validated; see :class:`cl_moe.analysis.data.StudyData`."""

    rows: pd.DataFrame
    tasks: pd.DataFrame
    methods: pd.DataFrame
    events: list[dict[str, Any]] = field(default_factory=list)
    timings: pd.DataFrame = field(default_factory=_no_timings)
    baseline: str | None = None
    name: str = "study"
    pairs: pd.DataFrame = field(default_factory=_no_pairs)
    sources: Mapping[str, str] = field(default_factory=dict)
    tuned: Mapping[str, Mapping[str, tuple[Any, Sequence[Any]]]] = field(default_factory=dict)
    sampled: bool = False
    metrics: Sequence[str] = ()
    figures: Sequence[str] = ()

    @property
    def method_names(self) -> list[str]:
        """Labels of all methods, in the order of the study."""
        return [str(name) for name in self.methods["method"]]

    @property
    def scores(self) -> dict[str, str]:
        """The primary metric of every task: accuracy, r2 or f1."""
        found = score_rows(self.rows)
        used = dict(zip(found["task"].astype(str), found["metric"].astype(str), strict=True))
        said = self.tasks["objective"] if "objective" in self.tasks else self.tasks["task"]
        return {
            str(task): SCORES.get(str(name)) or used.get(str(task), "accuracy")
            for task, name in zip(self.tasks["task"], said, strict=True)
        }
