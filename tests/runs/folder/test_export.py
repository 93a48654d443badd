"""A study made small enough to keep, and read back."""

from __future__ import annotations

import gzip
import json
import shutil
from pathlib import Path

import pandas as pd
import pytest

import cl_moe
from cl_moe.analysis import summary_records
from cl_moe.errors import InputError
from cl_moe.runs.folder import export as exporting
from cl_moe.runs.folder.export import export
from cl_moe.runs.folder.exported import OURS
from cl_moe.runs.folder.loading import load_study


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study with a grid, decisions, a probe, and pairs of tasks."""
    folder = tmp_path_factory.mktemp("study") / "toy"
    spec = {
        "name": "toy",
        "title": "Two blobs",
        "description": "Said on\ntwo lines.",
        "baseline": "dense",
        "sources": {"blobs": {"type": "synthetic", "dim": 6, "classes": 2}},
        "tasks": [
            {"name": "a", "source": "blobs", "per_class": 6, "test_per_class": 5},
            {"name": "b", "source": "blobs", "per_class": 6, "test_per_class": 5},
        ],
        "probes": [{"name": "new", "source": "blobs", "per_class": 3, "test_per_class": 5}],
        "training": {"epochs": 1, "min_steps": 0},
        "network": {"hidden": [4]},
        "methods": [
            {"name": "dense"},
            {"name": "ewc", "grid": {"strength": [1, 100]}},
            {"name": "moe"},
        ],
    }
    scenario = cl_moe.ScenarioSpec.from_dict(spec)
    cl_moe.run(scenario, seeds=2, out=folder)
    cl_moe.transfer(scenario, methods=["dense"], seeds=1, out=folder)
    return folder


@pytest.fixture(scope="module")
def kept(study: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The study, exported; not to be changed."""
    return export(study, tmp_path_factory.mktemp("results") / "toy").parent


@pytest.fixture
def target(kept: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return shutil.copytree(kept, tmp_path / "results" / "toy")


@pytest.fixture
def _no_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exporting, "_draw", lambda folder, data: folder.mkdir())


def test_it_is_read_back_as_it_was(study: Path, kept: Path) -> None:
    there, here = load_study(study), load_study(kept)
    for frame in ("rows", "tasks", "methods", "timings", "pairs"):
        pd.testing.assert_frame_equal(getattr(there, frame), getattr(here, frame), check_exact=True)
    assert (there.events, there.baseline, there.name) == (here.events, here.baseline, here.name)
    assert len(here.pairs) > 0
    assert json.loads((kept / "summary.json").read_text()) == summary_records(there)


def test_what_is_in_it(study: Path, kept: Path) -> None:
    names = {path.name for path in kept.iterdir()}
    assert names == set(OURS)
    assert (kept / "tuning.csv").read_text() == (study / "tuning.csv").read_text()
    assert pd.read_csv(kept / "tasks.csv")["task"].tolist() == ["a", "b", "new"]
    figures = list((kept / "figures").iterdir())
    assert figures
    assert all(path.stat().st_size <= exporting.MOST_BYTES for path in figures)
    assert [*kept.parent.iterdir()] == [kept]  # no draft is left


def test_the_same_study_gives_the_same_bytes(study: Path, kept: Path, tmp_path: Path) -> None:
    again = export(study, tmp_path / "again").parent
    for path in kept.rglob("*"):
        if path.is_file():
            assert path.read_bytes() == (again / path.relative_to(kept)).read_bytes(), path


def test_nothing_in_it_names_the_machine(study: Path, kept: Path) -> None:
    files = [path for path in kept.rglob("*") if path.is_file()]
    assert {path.suffix for path in files} >= {".gz", ".json", ".md", ".png"}
    for path in files:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        assert str(study.parent).encode() not in content, path


def test_the_page(kept: Path) -> None:
    page = (kept / "README.md").read_text()
    lines = page.splitlines()
    assert lines[:3] == ["# toy", "", "## Two blobs"]
    assert "Said on two lines." in lines
    assert "$ cl-moe run toy.toml --methods dense,ewc,moe,single_task --seeds 2" in lines
    for path in (kept / "figures").iterdir():
        assert f"](figures/{path.name})" in page


@pytest.mark.usefixtures("_no_figures")
def test_findings_stay_and_head_the_page(study: Path, tmp_path: Path) -> None:
    target = tmp_path / "toy"
    target.mkdir()
    (target / "findings.md").write_text("Blobs are easy.\n")
    export(study, target, command="make results STUDY=toy")
    (target / "more").mkdir()
    (target / "more" / "notes.txt").write_text("mine")
    page = export(study, target, command="make results STUDY=toy").read_text()
    assert page.index("make results STUDY=toy") < page.index("Blobs are easy.")
    assert page.index("Blobs are easy.") < page.index("## What was run")
    assert (target / "findings.md").read_text() == "Blobs are easy.\n"
    assert (target / "more" / "notes.txt").read_text() == "mine"


@pytest.mark.usefixtures("_no_figures")
def test_an_exported_study_can_be_exported(target: Path, tmp_path: Path) -> None:
    again = export(target, tmp_path / "again").parent
    for name in ("rows.csv.gz", "environment.json", "summary.json", "tuning.csv"):
        assert (again / name).read_bytes() == (target / name).read_bytes()
    (target / "findings.md").write_text("Seen later.")
    assert "Seen later." in export(target, target).read_text()


@pytest.mark.usefixtures("_no_figures")
def test_other_folders_are_left_alone(study: Path, tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    for wrong in (tmp_path, study, tmp_path / "thesis.tex"):
        with pytest.raises(InputError, match="something else than an exported study"):
            export(study, wrong)
    with pytest.raises(InputError, match="no such folder"):
        export(tmp_path / "none", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_failure_leaves_what_was_there(
    study: Path, target: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = (target / "README.md").read_text()

    def fail(*_: object) -> None:
        raise OSError("disk full")

    monkeypatch.setattr(exporting, "_draw", fail)
    with pytest.raises(OSError, match="disk full"):
        export(study, target)
    assert (target / "README.md").read_text() == before
    assert [*target.parent.iterdir()] == [target]


def test_damage_is_named(target: Path) -> None:
    rows = target / "rows.csv.gz"
    (target / "digests.json").unlink()
    about = json.loads((target / "environment.json").read_text())
    del about["format"]  # as earlier versions wrote it
    (target / "environment.json").write_text(json.dumps(about))
    rows.write_bytes(rows.read_bytes()[:-20])
    with pytest.raises(InputError, match=r"rows\.csv\.gz: not whole .*; is it a gzip file"):
        load_study(target)
    rows.write_bytes(gzip.compress(b"method,seed\n"))
    with pytest.raises(InputError, match=r"rows\.csv\.gz, line 1: the columns are method,seed"):
        load_study(target)
