from __future__ import annotations

from pathlib import Path

import pytest

import cl_moe
from benchmarks.cost_model import fit, measured
from cl_moe.runs.folder.export import export


def test_a_study_is_measured_against_its_dense_network(tmp_path: Path) -> None:
    methods = ["dense", "single_task", {"name": "variant", "type": "moe", "experts": 2}]
    budget = {"epochs": 1, "min_steps": 1}
    cl_moe.run(
        "digits_quick", methods, seeds=1, training=budget, out=tmp_path / "s", progress=False
    )
    found = measured(export(tmp_path / "s", tmp_path / "kept").parent)
    assert list(found) == ["dense", "single_task"], "a variant is not its type"
    assert found["dense"]["training"] == 1.0
    assert (found["dense"]["again"], found["single_task"]["again"]) == (1.0, 0.0)
    assert (found["dense"]["experts"], found["single_task"]["experts"]) == (None, 1.0)


def test_the_fit_spans_what_was_measured() -> None:
    studies = [
        {"moe": {"training": t, "decisions": 0.1, "experts": None, "again": None}}
        for t in (3.0, 1.0, 2.0)
    ]
    entry = fit(studies)["moe"]
    assert entry["training"] == [1.0, 2.0, 3.0]
    assert entry["decisions"] == pytest.approx(0.1)
    assert entry["experts"] is None
    assert entry["again"] == 1.0, "where nothing tells, all is evaluated again"
