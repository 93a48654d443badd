"""results/migrate.py renames what a kept study stores, and leaves its numbers."""

from __future__ import annotations

import doctest
import gzip
import importlib
import json
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "results"))
migrate = importlib.import_module("migrate")


def test_its_examples_hold() -> None:
    assert doctest.testmod(migrate).failed == 0


def test_rows_events_and_settings_are_renamed_once(tmp_path: Path) -> None:
    rows = "method,seed,value\nalone,0,0.1234567890123456\nmoe,0,0.5\n"
    event = {"kind": "average", "seconds": 0.1, "candidates": [{"kind": "take over"}]}
    sentence = (
        "task 1 'alone' is answered by an average: 100 % task 0 'a' (held-out 9.0 against 8.0 "
    )
    event["sentence"] = sentence + "take over of task 0 'a')"
    study = {"baseline": "alone", "methods": [{"name": "alone", "type": "alone"}]}
    (tmp_path / "rows.csv.gz").write_bytes(gzip.compress(rows.encode()))
    (tmp_path / "events.jsonl.gz").write_bytes(gzip.compress(json.dumps(event).encode() + b"\n"))
    (tmp_path / "study.json").write_text(json.dumps(study))
    assert migrate.migrate(tmp_path)
    new = gzip.decompress((tmp_path / "rows.csv.gz").read_bytes()).decode()
    assert new == rows.replace("alone", "single_task")
    (line,) = gzip.decompress((tmp_path / "events.jsonl.gz").read_bytes()).splitlines()
    found = json.loads(line)
    assert (found["kind"], found["candidates"][0]["kind"]) == ("ensemble", "matched")
    assert found["sentence"].startswith("task 1 'alone' is answered by an ensemble: 100 %")
    assert found["sentence"].endswith("against 8.0 matched of task 0 'a')")
    settings = json.loads((tmp_path / "study.json").read_text())
    assert settings["methods"] == [{"name": "single_task", "type": "single_task"}]
    assert settings["baseline"] == "single_task"
    assert not migrate.migrate(tmp_path), "nothing is left to rename"
