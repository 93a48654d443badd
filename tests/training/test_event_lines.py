"""The log as text is the log as it is, also where the last events change."""

from __future__ import annotations

import json

import pytest

from cl_moe.training.event_lines import EventLines


def decoded(text: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in text.split("\n")]


def test_changing_events_are_encoded_as_they_are_now():
    lines, log = EventLines(), [{"task": 0}, {"task": 1}]
    lines.text(log, changing=1)
    log[1]["usage"] = [0.5]
    assert decoded(lines.text(log, changing=0)) == log
    log.append({"task": 2, "sentence": "a\nb\u2028c"})
    assert decoded(lines.text(log, changing=1)) == log


@pytest.mark.parametrize("changing", [0, 1])
def test_a_restored_log_goes_on(changing):
    log = [{"task": 0}, {"task": 1}]
    text, lines = EventLines().text(log, changing), EventLines()
    found = lines.events(text, changing)
    assert found == log
    if changing:
        found[1]["usage"] = [1.0]
    found.append({"task": 2})
    assert decoded(lines.text(found, changing=0)) == found


def test_no_events():
    lines = EventLines()
    assert lines.text([], changing=0) == ""
    assert lines.events("", changing=0) == []


def test_an_event_that_does_not_change_is_encoded_once(monkeypatch):
    seen: list[object] = []
    encode = json.dumps
    monkeypatch.setattr(json, "dumps", lambda event: seen.append(event) or encode(event))
    lines = EventLines()
    for size in (1, 2, 3):
        lines.text([{"task": k} for k in range(size)], changing=0)
    assert len(seen) == 3
