"""Mutation testing: what counts as a mutant, which tests it runs, and how it ends."""

from __future__ import annotations

import random
import sys

import pytest

from benchmarks.mutation import GROUPS, ROOT, behaviour, changed, mirrored, mutants_of, outcome

SOURCE = "def least(a: int | None, b: int) -> int | None:\n    return a if a < b else b\n"


def test_a_mutant_changes_more_than_an_annotation():
    pytest.importorskip("cosmic_ray")
    mutants = list(mutants_of(SOURCE, random.Random(0)))
    assert mutants == list(mutants_of(SOURCE, random.Random(0)))
    assert 0 < len(mutants) < 5
    assert all(behaviour(code) != behaviour(SOURCE) for _, code in mutants)


def test_without_the_tool_it_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "cosmic_ray.ast", None)
    with pytest.raises(SystemExit, match="install cosmic-ray"):
        next(mutants_of(SOURCE, random.Random(0)))


def test_changes_are_shown_with_their_line():
    assert changed("a = 1\nb = 2\n", "a = 1\nb = 3\n") == "2\n  -b = 2\n  +b = 3"


@pytest.mark.parametrize("group", GROUPS)
def test_every_module_of_a_group_has_tests(group):
    for part in GROUPS[group]:
        path = ROOT / "cl_moe" / part
        assert path.exists()
        for module in [path] if path.is_file() else path.glob("[!_]*.py"):
            _, first, *_ = mirrored(group, module.relative_to(ROOT).as_posix())
            assert first.startswith("tests/")
            assert (ROOT / first).is_file()


@pytest.mark.parametrize(
    ("code", "limit", "wanted"),
    [("assert True", None, "survived"), ("assert False", None, "killed"),
     ("while True: pass", 5.0, "timeout")],
)  # fmt: skip
def test_a_run_ends_in_one_of_three_ways(code, limit, wanted, tmp_path):
    (tmp_path / "test_it.py").write_text(f"def test_it():\n    {code}\n")
    assert outcome(tmp_path, ["test_it.py"], limit) == wanted
