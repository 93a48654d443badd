"""Fit the table of ``cl-moe estimate`` to the studies of ``results/``.

``python -m benchmarks.cost_model`` writes ``cl_moe/runs/estimates/cost_model.json``. All figures
are quotients within one study: CPU time of training over that of the dense network (of
``single_task`` in a study without it: its training costs the same), the share of decisions in it,
experts per task, and the number of earlier tasks whose loss changes when a task is learned.
"""

from __future__ import annotations

import json
import statistics
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from cl_moe.runs.estimates.cost_model import TABLE, kind
from cl_moe.runs.folder.files import write_text
from cl_moe.runs.folder.loading import load_study
from cl_moe.runs.plan import MethodPlan

__all__ = ("fit", "measured")

RESULTS = Path(__file__).parents[1] / "results"
REFERENCES = ("dense", "single_task")


def measured(folder: Path) -> dict[str, dict[str, float | None]]:
    """Return what a study has measured of each of its methods, by :func:`kind`.

    Variants that differ in other parameters than their growth are left out.
    """
    data = load_study(folder)
    description = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    kinds: dict[str, str] = {}
    for method in description["methods"]:
        given = {k: v for k, v in method["parameters"].items() if k != "growth"}
        if method["name"] == method["type"] or not given:
            kinds[method["name"]] = kind(
                MethodPlan(method["name"], method["type"], method["parameters"])
            )
    cpu = data.timings.groupby("method")["cpu_seconds"].sum()
    reference = next((name for name in REFERENCES if name in cpu), None)
    if reference is None or cpu[reference] <= 0:
        return {}
    train = data.timings.groupby("method")["train_seconds"].sum()
    decide = data.timings.groupby("method")["decision_seconds"].sum()
    return {
        kinds[name]: {
            "training": float(cpu[name] / cpu[reference]),
            "decisions": float(decide[name] / train[name]) if train[name] else 0.0,
            "experts": _experts_a_task(
                data.rows[data.rows["method"] == name], len(data.stream_tasks)
            ),
            "again": _again(data.rows[data.rows["method"] == name], len(data.stream_tasks)),
        }
        for name in cpu.index
        if name in kinds
    }


def fit(found: Sequence[dict[str, dict[str, float | None]]]) -> dict[str, Any]:
    """Return the table: of each kind of method the least, the median and the most over studies.

    >>> one = {"training": 1.5, "decisions": 0.5, "experts": 0.25, "again": 0.0}
    >>> fit([{"moe": one}, {"moe": {**one, "training": 2.5, "experts": 0.75}}])["moe"]["training"]
    [1.5, 2.0, 2.5]
    """
    table = {}
    for name in sorted({name for study in found for name in study}):
        of = [study[name] for study in found if name in study]
        experts = [value["experts"] for value in of if value["experts"] is not None]
        again = [value["again"] for value in of if value["again"] is not None]
        table[name] = {
            "training": _spread([value["training"] or 0.0 for value in of]),
            "decisions": round(statistics.median(value["decisions"] or 0.0 for value in of), 3),
            "experts": _spread(experts) if experts else None,
            "again": round(statistics.median(again), 3) if again else 1.0,
            "studies": len(of),
        }
    return table


def _spread(values: Sequence[float]) -> list[float]:
    return [round(value, 3) for value in (min(values), statistics.median(values), max(values))]


def _experts_a_task(rows: pd.DataFrame, tasks: int) -> float | None:
    there = rows[(rows["metric"] == "experts") & (rows["after_task"] < tasks)]
    experts = there.groupby("seed")["value"].max()
    return float(experts.median() / tasks) if len(experts) else None


def _again(rows: pd.DataFrame, tasks: int) -> float | None:
    """Return the share of losses that differ from those of the same task one task earlier."""
    losses = rows[(rows["metric"] == "loss") & rows["epoch"].isna() & (rows["after_task"] < tasks)]
    table = losses.pivot_table(index=["seed", "task"], columns="after_task", values="value")
    before, after = table.iloc[:, :-1].to_numpy(), table.iloc[:, 1:].to_numpy()
    both = ~(pd.isna(before) | pd.isna(after))
    return float((before != after)[both].mean()) if both.any() else None


def main() -> None:
    """Fit the table, and say what is in it."""
    folders = [path.parent for path in sorted(RESULTS.glob("*/timings.csv"))]
    methods = fit([measured(folder) for folder in folders])
    about = "fitted to results/ by: python -m benchmarks.cost_model"
    write_text(TABLE, json.dumps({"about": about, "methods": methods}, indent=1) + "\n")
    for name, entry in methods.items():
        print(f"{name:20} {entry}")


if __name__ == "__main__":
    main()
