"""Processes that start a study in one folder at the same time."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.reliability.forking import apart
from benchmarks.reliability.parts import writers
from benchmarks.reliability.parts.writers import SENTENCE, Writers
from cl_moe.errors import InputError
from cl_moe.runs.folder.lock import locked


def test_one_of_two_and_one_of_four_runs():
    found = Writers(**apart(writers.__name__, "--rounds", "4"))
    assert (found.wrong, found.tracebacks) == ([], [])
    assert (found.rounds, found.starts) == (4, 12)
    assert found.refused >= 4  # one and three where all start at once


@pytest.mark.slow
def test_many_rounds_of_starts():
    result = writers.run(40)
    assert not result.failures, result.note


@pytest.mark.parametrize(
    ("codes", "together", "wrong", "tracebacks"),
    [
        ([0, 2], True, 0, 0),
        ([0, 0], True, 1, 0),
        ([0, 0], False, 0, 0),
        ([2, 2], False, 1, 0),
        ([0, 3], False, 1, 0),
        ([0, -9], False, 1, 0),
        ([0, 1], False, 0, 1),
    ],
)
def test_other_ends_are_counted(monkeypatch, codes, together, wrong, tracebacks):
    monkeypatch.setattr(writers, "compared", lambda one, other: [])
    counts = Writers()
    writers._judge(counts, Path("study"), dict(enumerate(codes)), together)
    assert (len(counts.wrong), len(counts.tracebacks)) == (wrong, tracebacks)


def test_another_result_is_counted(monkeypatch):
    monkeypatch.setattr(writers, "compared", lambda one, other: ["rows.csv differs"])
    counts = Writers()
    writers._judge(counts, Path("study"), {1: 0, 2: 2}, True)
    assert counts.wrong == ["study: rows.csv differs"]
    monkeypatch.setattr(writers, "apart", lambda *_: vars(counts))
    result = writers.run(1)
    assert (result.cases, result.wrong, result.tracebacks) == (1, 1, 0)


def test_the_sentence_is_that_of_the_lock(tmp_path):
    with locked(tmp_path), pytest.raises(InputError) as error, locked(tmp_path):
        pass
    assert SENTENCE.fullmatch(f"error: {error.value}\n")
