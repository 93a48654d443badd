"""An exported study goes on as if it had never been packed."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

import cl_moe
from cl_moe.errors import InputError
from cl_moe.runs.folder.export import export
from cl_moe.runs.folder.files import read_json
from cl_moe.runs.folder.loading import load_study
from cl_moe.runs.folder.unpack import unpack

SPEC = {
    "name": "toy",
    "baseline": "dense",
    "sources": {"blobs": {"type": "synthetic", "dim": 6, "classes": 2}},
    "tasks": [
        {"name": "a", "source": "blobs", "per_class": 6, "test_per_class": 5},
        {"name": "b", "source": "blobs", "per_class": 6, "test_per_class": 5},
    ],
    "training": {"epochs": 1, "min_steps": 0},
    "network": {"hidden": [4]},
    "methods": [
        {"name": "dense"},
        {"name": "ewc", "grid": {"strength": [1, 100]}},
        {"name": "moe"},
    ],
}


@pytest.fixture(scope="module")
def scenario() -> cl_moe.ScenarioSpec:
    return cl_moe.ScenarioSpec.from_dict(SPEC)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory, scenario: cl_moe.ScenarioSpec) -> Path:
    folder = tmp_path_factory.mktemp("study") / "toy"
    cl_moe.run(scenario, seeds=2, out=folder)
    return folder


@pytest.fixture(scope="module")
def packed(run: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export(run, tmp_path_factory.mktemp("results") / "toy").parent


def files(folder: Path) -> dict[str, bytes]:
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".png"
    }


def test_what_comes_out_is_what_went_in(run: Path, packed: Path, tmp_path: Path) -> None:
    again = unpack(packed, tmp_path / "again")
    assert {k: v for k, v in files(again).items() if not k.endswith(".jsonl")} == {
        k: v for k, v in files(run).items() if not k.endswith(".jsonl") and k != "report.html"
    }
    assert load_study(again).events == load_study(run).events


def test_whole_runs_are_not_run_again_and_what_was_left_out_is(
    run: Path, packed: Path, tmp_path: Path, scenario: cl_moe.ScenarioSpec
) -> None:
    folder = unpack(packed, tmp_path / "mine", without=["moe"])
    assert {path.name for path in (folder / "runs").iterdir()} == {"dense", "ewc"}
    kept = {path: path.stat().st_mtime_ns for path in folder.glob("runs/*/seed_*")}
    study = cl_moe.run(scenario, seeds=2, out=folder)
    assert {path: path.stat().st_mtime_ns for path in kept} == kept
    pd.testing.assert_frame_equal(study.rows, load_study(run).rows)


def test_a_tuned_methods_choice_stays(run: Path, packed: Path, tmp_path: Path) -> None:
    folder = unpack(packed, tmp_path / "mine")
    (before, after) = (read_json(at / "study.json")["methods"][1] for at in (run, folder))
    assert before["chosen"] == after["chosen"] is not None
    spec = read_json(folder / "runs/ewc/seed_0/spec.json")
    assert spec["method"]["parameters"]["strength"] == after["chosen"]["strength"]
    without = unpack(packed, tmp_path / "other", without=["ewc"])
    assert not (without / "tuning.csv").exists()


def test_bad_input_is_told_and_nothing_is_written(run: Path, packed: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not an exported study"):
        unpack(run, tmp_path / "new")
    with pytest.raises(InputError, match=r"'mo' is not among .*'moe'"):
        unpack(packed, tmp_path / "new", without=["mo"])
    full = tmp_path / "full"
    full.mkdir()
    (full / "mine.txt").write_text("mine")
    with pytest.raises(InputError, match="not empty"):
        unpack(packed, full)
    (packed / "timings.csv").rename(packed / "gone.csv")
    try:
        with pytest.raises(InputError, match=r"timings\.csv"):
            unpack(packed, tmp_path / "new")
    finally:
        (packed / "gone.csv").rename(packed / "timings.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["full"]
