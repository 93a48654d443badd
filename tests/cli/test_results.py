"""cl-moe summary, plot and report."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest


@pytest.fixture
def study(call: Callable[..., Any], scenario: Path) -> str:
    """The folder of a study that was run."""
    assert call("run", scenario, "--no-figures", "--quiet").code == 0
    return "runs/tiny"


def test_the_summarys_json(call: Callable[..., Any], study: str) -> None:
    said = call("summary", study, "--json")
    assert said.code == 0
    found = json.loads(said.out)
    assert isinstance(found, list)
    keys = ["method", "metric", "group", "mean", "low", "high", "seeds"]
    assert all(list(item) == keys for item in found)
    by_key = {(item["method"], item["metric"], item["group"]): item for item in found}
    whole = by_key["dense", "average_accuracy", None]
    assert 0 <= whole["mean"] <= 1
    assert whole["low"] <= whole["mean"] <= whole["high"]
    assert whole["seeds"] == 2
    assert "Warning: 2 seeds: no difference between methods is significant" in said.err
    assert ("ewc", "average_accuracy", "late") in by_key
    assert by_key["dense", "cpu_seconds", None]["mean"] > 0


def test_the_summarys_table(call: Callable[..., Any], study: str) -> None:
    said = call("summary", study)
    assert said.code == 0
    assert "average accuracy" in said.out
    assert "against dense" in said.out
    assert "Averages are means of " in said.out
    assert "Verdict: Too few seeds for a verdict: over 2 seeds" in said.out
    assert "Warning: 2 seeds: no difference between methods is significant" in said.out


def test_figures_are_drawn(call: Callable[..., Any], study: str) -> None:
    said = call("plot", study, "--format", "png,svg")
    assert said.code == 0
    paths = [Path(line) for line in said.out.splitlines()]
    assert {path.suffix for path in paths} == {".png", ".svg"}
    assert all(path.stat().st_size > 1000 for path in paths)
    assert {path.parent for path in paths} == {Path(study) / "figures"}


def test_the_report_is_one_file(call: Callable[..., Any], study: str) -> None:
    said = call("report", study)
    assert said.code == 0
    assert Path(said.out.strip()) == Path(study) / "report.html"
    assert "dense" in (Path(study) / "report.html").read_text()


@pytest.mark.parametrize("command", ["summary", "plot", "report"])
def test_what_is_no_study(call: Callable[..., Any], scenario: Path, command: str) -> None:
    said = call(command, "nowhere")
    assert said.code == 2
    assert said.err.startswith("error: nowhere: no such folder; give the folder")


def test_an_unknown_format(call: Callable[..., Any], study: str) -> None:
    said = call("plot", study, "--format", "gif")
    assert said.code == 2
    assert "gif" in said.err
    assert not (Path(study) / "figures").exists()


def test_damaged_results(call: Callable[..., Any], study: str) -> None:
    path = next(Path(study).glob("runs/ewc/*/rows.csv"))
    path.write_text(path.read_text()[:-10])
    said = call("summary", study)
    assert said.code == 2
    assert f"error: {path.parent}: {path.name} was changed since the run" in said.err


def test_a_study_is_exported_and_read(call: Callable[..., Any], study: str) -> None:
    said = call("export", study, "results/tiny", "--command", "make it")
    assert said.code == 0
    assert Path(said.out.strip()) == Path("results/tiny/README.md")
    assert "$ make it" in Path("results/tiny/README.md").read_text()
    assert call("summary", "results/tiny").out == call("summary", study).out
    assert call("plot", "results/tiny", "--out", "figures").code == 0
