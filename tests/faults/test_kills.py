"""A study that is killed at any moment, and started again, ends as if it had not been."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reliability.comparing import compared
from benchmarks.reliability.forking import apart
from benchmarks.reliability.parts import kills
from benchmarks.reliability.parts.kills import Kills


def test_twenty_kills_change_nothing():
    found = Kills(**apart(kills.__name__, "--kills", "20", "--methods", "moe,ewc,replay"))
    assert (found.differences, found.failures) == ([], [])
    assert found.kills >= 20
    assert found.continued > 0


@pytest.mark.slow
def test_two_hundred_kills_of_every_method_change_nothing():
    """And twenty of the driver of two workers."""
    result = kills.run(200)
    assert result.cases >= 220
    assert not result.failures, result.note


def test_differences_and_failures_are_counted(monkeypatch):
    found = {"kills": 3, "studies": 1, "differences": ["rows.csv differs"], "failures": ["code 1"]}
    monkeypatch.setattr(kills, "apart", lambda *_: found)
    result = kills.run(10, ["moe"])
    assert (result.cases, result.wrong, result.tracebacks) == (6, 2, 2)
    assert "two workers: 3 kills, 1 studies, 0 starts that continued" in result.note


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
    (other / ".writing-abc").touch()
    place = Path("runs/moe/seed_0")
    assert compared(one, other) == [
        f"{place / 'events.jsonl'} differs",
        f"{place / 'rows.csv'} differs",
        "checkpoints is left",
        ".writing-abc is left",
    ]
