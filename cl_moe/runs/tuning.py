"""Selection of a method's parameters from its grid, on training data only."""

from __future__ import annotations

import json
import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from cl_moe.runs.folder.store import StudyFolder
from cl_moe.runs.plan import Job, MethodPlan, RunResult, StudyPlan
from cl_moe.runs.single import final_average

__all__ = ("Tuning",)


class Tuning:
    """The settings of all grids, their scores, and the chosen ones.

    Every setting of a method is trained on the first seed's stream with a part of each task's
    training data held out; the highest average accuracy on the held-out parts after the last task
    wins, the first listed of equals. All methods are treated alike, and test data are not read.

    Args:
        plan: the study.
        folder: holds tuning.csv, from which finished settings are read.
        chosen: method -> setting that was chosen before, which is not tuned again.
    """

    def __init__(
        self, plan: StudyPlan, folder: StudyFolder, chosen: Mapping[str, Mapping[str, Any]]
    ) -> None:
        self._plan, self._folder = plan, folder
        self._chosen = {name: dict(setting) for name, setting in chosen.items()}
        self._rows: dict[tuple[str, str], dict[str, Any]] = {
            (row["method"], row["parameters"]): row for row in folder.tuning()
        }

    def open_jobs(self) -> list[Job]:
        """Return the settings that have not been tried."""
        return [
            job
            for method in self._plan.methods
            if method.name not in self._chosen
            for job in self._plan.tuning_jobs(method)
            if (method.name, _text(method.settings()[job.setting or 0])) not in self._rows
        ]

    def record(self, job: Job, result: RunResult, tasks: int) -> float:
        """Keep what a setting scored, and return it."""
        (method,) = (m for m in self._plan.methods if m.name == job.method.name)
        assert job.setting is not None
        text = _text(method.settings()[job.setting])
        value = final_average(result, tasks)
        self._rows[method.name, text] = {
            "method": method.name,
            "setting": job.setting,
            "seed": job.seed,
            "parameters": text,
            "value": value,
            "chosen": "no",
        }
        self._write()
        return value

    def choose(self, without: Collection[str] = ()) -> dict[str, dict[str, Any]]:
        """Return the best setting of every method that has a grid, all having been tried.

        Args:
            without: methods of which some have not.
        """
        for method in self._plan.methods:
            if method.grid and method.name not in {*self._chosen, *without}:
                self._chosen[method.name] = self._best(method)
        if self._rows:
            self._write()
        return self._chosen

    def _best(self, method: MethodPlan) -> dict[str, Any]:
        def score(setting: Mapping[str, Any]) -> float:
            value: float = self._rows[method.name, _text(setting)]["value"]
            return -math.inf if math.isnan(value) else value

        best = max(method.settings(), key=score)  # max returns the first of equals
        for setting in method.settings():
            row = self._rows[method.name, _text(setting)]
            row["chosen"] = "yes" if setting == best else "no"
        return best

    def _write(self) -> None:
        order = {method.name: position for position, method in enumerate(self._plan.methods)}
        rows: Sequence[dict[str, Any]] = sorted(
            self._rows.values(),
            key=lambda row: (order.get(row["method"], len(order)), row["method"], row["setting"]),
        )
        self._folder.write_tuning(rows)


def _text(setting: Mapping[str, Any]) -> str:
    """Return a setting as it stands in tuning.csv."""
    return json.dumps(setting, sort_keys=True)
