"""A study that is killed at any moment, and started again, ends as if it had not been."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.faults.kills import compared

SCRIPT = Path(__file__).with_name("kills.py")


def kills(count: int, *options: str) -> dict[str, Any]:
    """Return the counts of a series of kills, in a process of its own."""
    command = [sys.executable, "-W", "ignore", str(SCRIPT), "--kills", str(count), *options]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    found: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    assert found["kills"] >= count
    assert found["continued"] > 0
    return found


def test_twenty_kills_change_nothing():
    assert kills(20, "--methods", "moe,ewc,replay")["differences"] == []


@pytest.mark.slow
def test_two_hundred_kills_of_every_method_change_nothing():
    assert kills(200)["differences"] == []


@pytest.mark.slow
def test_kills_of_the_driver_of_two_workers_change_nothing():
    assert kills(20, "--jobs", "2")["differences"] == []


def test_a_changed_result_is_noticed(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        run = folder / "runs" / "moe" / "seed_0"
        run.mkdir(parents=True)
        (run / "rows.csv").write_text("value\n0.5\n")
        (run / "events.jsonl").write_text('{"kind": "fresh", "seconds": 1.0}\n')
    assert compared(one, other) == []
    (other / "runs/moe/seed_0/rows.csv").write_text("value\n0.6\n")
    (other / "runs/moe/seed_0/events.jsonl").write_text('{"kind": "copy", "seconds": 1.0}\n')
    (other / "checkpoints").mkdir()
    place = Path("runs/moe/seed_0")
    assert compared(one, other) == [
        f"{place / 'events.jsonl'} differs", f"{place / 'rows.csv'} differs", "checkpoints is left"
    ]  # fmt: skip
