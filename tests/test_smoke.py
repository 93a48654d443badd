"""Every shipped scenario and every method runs end to end, at tiny size."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import cl_moe
from cl_moe import catalog
from cl_moe.runs.folder.loading import load_study
from cl_moe.streams.scenario import ScenarioSpec, load_scenario, shipped_scenarios

PROMISED = {
    "demo",
    *("digits_quick", "related_unrelated", "low_resource", "unseen_task", "adding_unrelated"),
    *("recurring", "split_mnist", "permuted_mnist", "long_stream"),
    *("ctrl_minus", "ctrl_plus", "ctrl_in", "ctrl_out", "ctrl_plastic"),
    *("low_resource_images", "unseen_images", "adding_unrelated_images"),
    *("low_resource_text", "unseen_text", "adding_unrelated_text"),
    *("capacity", "relatedness_dial", "ablation_images", "ablation_text"),
    "thousand_tasks",
    *("trust_split_mnist", "trust_split_mnist_si", "trust_permuted_mnist"),
}


def tiny(name: str) -> ScenarioSpec:
    """Return a shipped scenario with few tasks, few examples and one epoch."""
    data = load_scenario(name).to_dict()
    data["training"] = {**data["training"], "epochs": 1, "min_steps": 0}
    data["tasks"] = [_few(task) for task in data["tasks"][:4]]
    data["probes"] = [_few(probe) for probe in data["probes"][:1]]
    if "generate" in data:
        phases = [{**phase, "tasks": 2} for phase in data["generate"]["phases"]]
        data["generate"] = {**data["generate"], "phases": phases, "test_per_class": 5}
    for method in data["methods"]:
        method["grid"] = {}
    return ScenarioSpec.from_dict(data)


def _few(task: dict[str, Any]) -> dict[str, Any]:
    return {**task, "per_class": 6, "test_per_class": 5}


def check_study(folder: Path, methods: set[str]) -> None:
    """Every method must have an accuracy of every task after the last one."""
    study = load_study(folder)
    stream = study.tasks[~study.tasks["probe"]]
    rows = study.rows
    final = rows[
        (rows["metric"] == "accuracy")
        & rows["epoch"].isna()
        & (rows["after_task"] == len(stream) - 1)
        & rows["task"].isin(stream["task"])
    ]
    assert final["value"].between(0, 1).all()
    evaluated = {method: set(part["task"]) for method, part in final.groupby("method")}
    assert set(evaluated) == methods
    assert all(tasks == set(stream["task"]) for tasks in evaluated.values())


def test_what_was_promised_is_shipped() -> None:
    assert set(shipped_scenarios()) >= PROMISED


@pytest.mark.parametrize("scenario", sorted(shipped_scenarios()))
def test_every_scenario_runs(
    scenario: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CL_MOE_DATA_DIR", raising=False)
    spec = tiny(scenario)
    cl_moe.run(spec, methods=["dense", "moe"], seeds=1, out=tmp_path / "study")
    check_study(tmp_path / "study", {"dense", "moe"})
    probes = spec.probe_specs()
    if probes:
        rows = load_study(tmp_path / "study").rows
        assert {probe.name for probe in probes} <= set(rows["task"])


@pytest.mark.parametrize("method", catalog.names("method"))
def test_every_method_runs(method: str, tmp_path: Path) -> None:
    cl_moe.run(tiny("digits_quick"), methods=[method], seeds=1, out=tmp_path / "study")
    check_study(tmp_path / "study", {method})
