"""Parts by name, from here and from elsewhere."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pytest

from cl_moe import catalog
from cl_moe.continual.growth.base import GrowthPolicy
from cl_moe.errors import InputError, did_you_mean
from cl_moe.streams.operators.base import Operator


@pytest.fixture
def users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.delitem(sys.modules, "users_part", raising=False)
    return tmp_path / "users_part.py"


@pytest.mark.parametrize(
    ("code", "words"),
    [
        ("raise RuntimeError('boom')", "cannot be loaded (RuntimeError: boom)"),
        ("raise SystemExit(0)", "cannot be loaded (SystemExit: 0)"),
        ("def (", "cannot be loaded (SyntaxError: "),
        ("part = 3", "'users_part:part' is 3; give a class or a function"),
        ("other = 3", "cannot be loaded (AttributeError: "),
    ],
)
def test_whatever_a_users_module_does_is_named(users: Path, code: str, words: str) -> None:
    users.write_text(code, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        catalog.resolve("gate", "users_part:part", "methods[0].gate")
    (problem,) = caught.value.problems
    assert problem.startswith("methods[0].gate: 'users_part:part' ")
    assert words in problem


@pytest.mark.parametrize("reference", ["..relative:x", ":", "torch:", "no such:x"])
def test_what_names_nothing_is_refused(reference: str) -> None:
    with pytest.raises(InputError, match="cannot be loaded"):
        catalog.resolve("gate", reference)


def takes(
    *, share: float = 0.5, size: tuple[int, int] = (1, 1), many: tuple[int, ...] = ()
) -> None:
    """A part with parameters."""


@pytest.mark.parametrize(
    ("parameters", "fits"),
    [
        ({"share": 1}, True),
        ({"share": float("nan")}, False),
        ({"share": float("inf")}, False),
        ({"share": True}, False),
        ({"size": [2, 3]}, True),
        ({"size": [2]}, False),
        ({"size": [2, 3, 4]}, False),
        ({"size": [2, 3.0]}, False),
        ({"many": []}, True),
        ({"many": [1, 2, 3]}, True),
        ({"many": [1, "x"]}, False),
    ],
)
def test_values_are_checked_against_the_annotation(parameters: dict[str, Any], fits: bool) -> None:
    assert (catalog.check_parameters(takes, parameters, "here") == []) == fits


def test_the_context_is_not_the_users_to_set() -> None:
    def method(context: object) -> None:
        """A method without parameters."""

    assert catalog.check_parameters(method, {}, "here") == []
    assert "no such parameter" in catalog.check_parameters(method, {"context": 1}, "here")[0]


def test_a_hint_names_each_word_once() -> None:
    assert did_you_mean("zzz", ["a", "b", "a"]) == "known: a, b"


PARTS = """
from cl_moe.continual.growth.base import GrowthPolicy
from cl_moe.moe.gates.task import TaskGate


class Unfinished(GrowthPolicy):
    pass


class Moody(GrowthPolicy):
    def __init__(self, *, size: int = 1) -> None:
        if size > 2:
            raise ValueError(f"size: {size} is too large")
        if size == 2:
            raise KeyError("two")

    def decide(self, view, network):
        raise NotImplementedError
"""


@pytest.mark.parametrize(
    ("name", "options", "said"),
    [
        ("users_part:Unfinished", {}, ["growth: 'users_part:Unfinished' lacks 'decide'; "]),
        (
            "users_part:TaskGate",
            {},
            ["growth: 'users_part:TaskGate' is not a valid growth policy; give a "],
        ),
        ("users_part:Moody", {"size": 3}, ["growth_options.size: 3 is too large"]),
        ("users_part:Moody", {"size": 2}, ["growth_options: Moody refuses its parameters (KeyErr"]),
        (
            "users_part:Moody",
            {"size": "x", "sise": 1},
            ["growth_options.size: 'x' is not an int", "growth_options.sise: no such parameter; "],
        ),
        ("reuse_or_gro", {}, ["growth: no growth is called 'reuse_or_gro'; did you mean "]),
    ],
)
def test_one_maker_says_all_that_is_wrong_with_a_part(
    users: Path, name: str, options: dict[str, Any], said: list[str]
) -> None:
    users.write_text(PARTS, encoding="utf-8")
    with pytest.raises(InputError) as caught:
        catalog.make("growth", GrowthPolicy, name, options, "growth_options", name_place="growth")
    assert len(caught.value.problems) == len(said)
    for problem, start in zip(caught.value.problems, said, strict=True):
        assert problem.startswith(start)


def test_a_part_that_fits_is_made(users: Path) -> None:
    users.write_text(PARTS, encoding="utf-8")
    made = catalog.make("growth", GrowthPolicy, "users_part:Moody", {"size": 1}, "growth_options")
    assert type(made).__name__ == "Moody"


def test_lists_become_the_fields_of_frozen_dataclasses() -> None:
    made = catalog.make("operator", Operator, "background", {"colour": [0.5]}, "operators[0]")
    assert hash(made)
    assert made.colour == (0.5,)


def test_a_bug_in_a_function_is_no_refusal() -> None:
    def method(context: object) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match=r"^a bug$") as caught:
        catalog.build(method, {}, "methods[0]", None)
    assert not isinstance(caught.value, InputError)
