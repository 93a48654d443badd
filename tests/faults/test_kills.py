"""A study that is killed at any moment, and started again, ends as if it had not been."""

from __future__ import annotations

from pathlib import Path

import pytest

from cl_moe import catalog
from tests.faults import kills

LIMITED = {"type": "moe", "name": "limited", "max_experts": 1}


def require_none_different(found: kills.Kills, least: int) -> None:
    assert found.kills >= least
    assert found.continued > 0
    assert found.differences == []


def test_twenty_kills_change_nothing(tmp_path):
    methods = ["moe", "ewc", "replay", LIMITED]
    require_none_different(kills.kill_repeatedly(tmp_path, methods, 20), 20)


@pytest.mark.slow
@pytest.mark.parametrize("jobs", [1, 2])
def test_two_hundred_kills_of_every_method_change_nothing(tmp_path, jobs):
    methods = [*catalog.names("method"), LIMITED]
    found = kills.kill_repeatedly(tmp_path, methods, 200 if jobs == 1 else 20, jobs=jobs, seed=1)
    require_none_different(found, 20)


def test_a_changed_result_is_noticed(tmp_path):
    """The comparison can fail: a row, a parameter, a leftover."""
    one, other = tmp_path / "one", tmp_path / "other"
    for folder in (one, other):
        run = folder / "runs" / "moe" / "seed_0"
        run.mkdir(parents=True)
        (run / "rows.csv").write_text("value\n0.5\n")
        (run / "events.jsonl").write_text('{"kind": "fresh", "seconds": 1.0}\n')
    assert kills.compared(one, other) == []
    (other / "runs/moe/seed_0/rows.csv").write_text("value\n0.6\n")
    (other / "runs/moe/seed_0/events.jsonl").write_text('{"kind": "copy", "seconds": 1.0}\n')
    (other / "checkpoints").mkdir()
    place = Path("runs/moe/seed_0")
    assert kills.compared(one, other) == [
        f"{place / 'events.jsonl'} differs", f"{place / 'rows.csv'} differs", "checkpoints is left"
    ]  # fmt: skip
