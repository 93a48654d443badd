"""Hostile scenarios, command lines, data files and records end in a result or in a sentence.

The parts of ``benchmarks.reliability`` with few cases, the same ones each time; the slow tests and
``make reliability`` have more.
"""

from __future__ import annotations

import importlib
import sys

import pytest

from benchmarks.reliability.__main__ import main, page
from benchmarks.reliability.tally import Result, Tally, call
from cl_moe.errors import InputError

QUICK = {"scenarios": 100, "tables": 400, "commands": 40, "records": 24}
SLOW = {name: 30 * cases for name, cases in QUICK.items()}


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.filterwarnings("ignore")
def test_nothing_ends_in_a_traceback(name):
    result = importlib.import_module(f"benchmarks.reliability.parts.{name}").run(QUICK[name])
    assert result.cases >= 0.8 * QUICK[name]
    assert not result.failures, result.note


@pytest.mark.slow
@pytest.mark.parametrize("name", SLOW)
@pytest.mark.filterwarnings("ignore")
def test_nor_do_many_cases(name):
    result = importlib.import_module(f"benchmarks.reliability.parts.{name}").run(SLOW[name])
    assert not result.failures, result.note


def test_what_ends_wrongly_is_counted(monkeypatch):
    """Exceptions, exit codes, printed tracebacks and control characters."""
    tally = Tally("commands")

    def ends(code: int, text: str):
        def main() -> None:
            sys.stdout.write(text)
            raise SystemExit(code)

        return main

    ends_of = [(0, "fine"), (2, "error: x: bad; give a good one"), (1, "lost")]
    ends_of += [(0, "Traceback (most recent call last)"), (2, "error: \x1b[31m")]
    for code, text in ends_of:
        monkeypatch.setattr("cl_moe.cli.main", ends(code, text))
        tally.commands(["x"])
    monkeypatch.setattr("cl_moe.cli.main", lambda: 1 / 0)
    tally.commands(["x"])
    found = tally.result()
    assert (found.cases, found.tracebacks, found.wrong, found.failures) == (6, 2, 2, 4)
    assert "ZeroDivisionError" in found.note


def test_readers_may_refuse_but_not_fail():
    tally = Tally("readers")

    def refuse() -> None:
        raise InputError("x: bad; give a good one")

    tally.reads("a", refuse)
    tally.reads("b", lambda: [][0])
    assert (tally.cases, tally.tracebacks) == (2, 1)


def test_a_command_of_this_process_leaves_its_arguments():
    before = sys.argv
    assert call(["list", "gates"]).code == 0
    assert call(["list", "none"]).code == 2
    assert sys.argv is before


def test_the_page_holds_every_part_and_the_sum():
    found = {"tables": Result("one", 1200, 0, 0, 1.0, "a|b"), "x": Result("two", 3, 1, 1, 2.6, "c")}
    text = page(found)
    assert "| one | `python -m benchmarks.reliability tables` | 1,200 | 0 | 0 | 1 |" in text
    assert "| two | `python -m benchmarks.reliability x` | 3 | 1 | 1 | 3 |" in text
    assert "In all: 1,203 cases, 2 failures." in text
    assert "a\\|b" in text


def test_the_command_runs_the_parts_named(capsys):
    assert main(["tables", "--cases", "16"]) == 0
    assert "data files: " in capsys.readouterr().out
