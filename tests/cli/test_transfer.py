"""cl-moe transfer."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any


def test_a_matrix_is_printed_written_and_drawn(call: Callable[..., Any], scenario: Path) -> None:
    said = call("transfer", scenario, "--method", "dense", "--seeds", "2")
    assert said.code == 0
    assert "Transfer matrix of dense" in said.out
    assert "tiny: 6 runs to do" in said.err
    folder = Path("runs/tiny")
    with (folder / "transfer.csv").open() as file:
        cells = list(csv.DictReader(file))
    assert list(cells[0]) == ["method", "after", "task", "mean", "low", "high", "seeds"]
    assert [(cell["after"], cell["task"]) for cell in cells] == [("a", "b"), ("b", "a")]
    assert all(float(c["low"]) <= float(c["mean"]) <= float(c["high"]) for c in cells)
    assert (folder / "figures" / "transfer_matrix.png").stat().st_size > 1000
    assert "Transfer matrix of dense" in call("summary", folder).out


def test_it_adds_to_a_study(call: Callable[..., Any], scenario: Path) -> None:
    assert call("run", scenario, "--seeds", "1", "--no-figures").code == 0
    words = ("transfer", scenario, "--methods", "ewc", "--seeds", "1")
    assert "tiny: 3 runs to do" in call(*words).err
    again = call(*words)
    assert "3 whole runs found: not run again" in again.err
    out = call("summary", "runs/tiny").out
    assert "against dense" in out
    assert "Transfer matrix of ewc" in out


def test_what_cannot_be_paired(call: Callable[..., Any], scenario: Path) -> None:
    said = call("transfer", scenario, "--method", "single_task")
    assert said.code == 2
    assert said.err.startswith(
        "error: methods: 'single_task' is what the others are measured against"
    )
    assert not Path("runs").exists()
