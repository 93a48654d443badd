"""cl-moe list, new and check."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cl_moe import catalog
from cl_moe.cli.scenarios import Kind


@pytest.mark.parametrize("kind", list(Kind))
def test_everything_is_listed_with_a_line(call: Callable[..., Any], kind: Kind) -> None:
    said = call("list", kind.value)
    assert said.code == 0
    lines = said.out.splitlines()
    assert lines
    assert all(len(line.split(None, 1)) == 2 for line in lines)
    if kind is Kind.growth:
        assert [line.split()[0] for line in lines] == catalog.names("growth")


@pytest.mark.parametrize(
    ("kind", "name", "wanted"),
    [
        ("methods", "ewc", ["Kirkpatrick et al. 2017", "strength: float = 100.0"]),
        ("gates", "task-conditioned", ["parameters:"]),
        ("operators", "noise", ["standard deviation", "strength: float = 0.3"]),
        ("sources", "torchvision", ["dataset: str   (required)"]),
        ("keys", "training", ["min_steps = 100", "optimizer steps"]),
        ("keys", "network.hidden", ["hidden = [64]"]),
        ("scenarios", "digits_quick", ["[[tasks]]"]),
    ],
)
def test_one_of_them_is_told_in_full(
    call: Callable[..., Any], kind: str, name: str, wanted: list[str]
) -> None:
    said = call("list", kind, name)
    assert said.code == 0
    assert [text for text in wanted if text not in said.out] == []


@pytest.mark.parametrize(
    ("kind", "name", "close"),
    [
        ("methods", "ewk", "ewc"),
        ("keys", "trainin", "training"),
        ("scenarios", "digits_quik", "digits_quick"),
    ],
)
def test_a_name_that_is_not_there(
    call: Callable[..., Any], kind: str, name: str, close: str
) -> None:
    said = call("list", kind, name)
    assert said.code == 2
    assert f"'{name}'; did you mean '{close}" in said.err


def test_parts_in_the_current_folder_are_found(call: Callable[..., Any], scenario: Path) -> None:
    text = "from cl_moe.strategies.methods.dense import dense as own_dense\n"
    (scenario.parent / "parts_of_mine.py").write_text(text)
    scenario.write_text(
        scenario.read_text() + '\n[[methods]]\nname = "mine"\ntype = "parts_of_mine:own_dense"\n'
    )
    said = call("check", scenario, "--allow-code")
    assert said.code == 0, said.err
    assert "mine (parts_of_mine:own_dense)" in said.out


def test_an_unknown_kind(call: Callable[..., Any]) -> None:
    said = call("list", "gate")
    assert said.code == 2
    assert "'gates'" in said.err


def test_a_new_scenario_is_right_as_it_stands(call: Callable[..., Any], scenario: Path) -> None:
    said = call("new", "my-first")
    assert said.code == 0
    assert "cl-moe run my-first.toml" in said.out
    checked = call("check", "my-first.toml")
    assert checked.code == 0, checked.err
    assert "TaskStream 'my-first'" in checked.out
    assert "low_digits" in checked.out
    assert "4 methods x 3 seeds = 12 runs" in checked.out
    small = ("--set", "training.epochs=1", "--set", "training.min_steps=0", "--set", "probes=[]")
    ran = call("run", "my-first.toml", "--methods", "dense", "--seeds", "1", "--no-figures", *small)
    assert ran.code == 0, ran.err


def test_new_leaves_a_file_as_it_is(call: Callable[..., Any], scenario: Path) -> None:
    before = scenario.read_text()
    said = call("new", "tiny")
    assert said.code == 2
    assert "exists; give another name" in said.err
    assert scenario.read_text() == before


@pytest.mark.parametrize(
    ("name", "wanted"), [("1 2", "is not a valid name"), ("no/where", "does not exist")]
)
def test_new_wants_a_name(call: Callable[..., Any], scenario: Path, name: str, wanted: str) -> None:
    said = call("new", name)
    assert said.code == 2
    assert wanted in said.err


def test_check_names_every_problem(call: Callable[..., Any], scenario: Path) -> None:
    text = scenario.read_text().replace("epochs = 1", "epochs = 0").replace('"ewc"', '"ewk"')
    scenario.write_text(text)
    said = call("check", scenario)
    assert said.code == 2
    assert "error: training.epochs: 0 is too small" in said.err
    assert "did you mean 'ewc'?" in said.err
    assert said.out == ""


def test_check_builds_every_method(call: Callable[..., Any], scenario: Path) -> None:
    more = '[[methods]]\nname = "moe"\ngate_options = { k = 0 }\n'
    scenario.write_text(scenario.read_text().replace("[training]", "layers = 3\n[training]") + more)
    said = call("check", scenario)
    assert said.code == 2
    assert "error: method 'moe'.gate_options.k: 0 must be 1 or more experts" in said.err


def test_check_shows_tasks_methods_and_runs(call: Callable[..., Any], scenario: Path) -> None:
    grid = '\n[[methods]]\nname = "tuned"\ntype = "ewc"\ngrid = { strength = [1.0, 10.0] }\n'
    scenario.write_text(scenario.read_text() + grid)
    said = call("check", scenario)
    assert said.code == 0
    assert "1 b  2 classes  train 24  test 20  [late]" in said.out
    assert "tuned (ewc): strength from [1.0, 10.0]" in said.out
    assert "3 methods x 2 seeds = 6 runs, after 2 runs to choose parameters" in said.out


POLICIES = """
from cl_moe.continual.growth.base import GrowthPolicy


class Unfinished(GrowthPolicy):
    \"\"\"Decides nothing.\"\"\"


class Picky(GrowthPolicy):
    def __init__(self, *, size: int = 0) -> None:
        if size < 1:
            raise ValueError(f"size: {size} is too small")

    def decide(self, view, network):
        raise NotImplementedError


def broken(context, /):
    raise KeyError("a bug")
"""


@pytest.mark.parametrize("command", [["check", "--allow-code"], ["run"]])
def test_what_parts_of_ones_own_refuse_is_said(
    call: Callable[..., Any], scenario: Path, command: list[str]
) -> None:
    (scenario.parent / "own.py").write_text(POLICIES)
    growths = {"lacks": "own.py:Unfinished", "picky": "own.py:Picky", "none": "own.py:GrowthPolicy"}
    tables = [
        f'[[methods]]\nname = "{name}"\ntype = "moe"\ngrowth = "{growth}"\n'
        for name, growth in growths.items()
    ]
    tables.append('[[methods]]\nname = "gate"\ntype = "moe"\ngate_options = { k = 0 }\n')
    scenario.write_text(scenario.read_text() + "\n".join(tables))
    said = call(*command, scenario)
    assert (said.code, said.out) == (2, "")
    lines = [line for line in said.err.splitlines() if line.startswith("error: ")]
    wanted = [
        "error: method 'lacks'.growth: 'own.py:Unfinished' lacks 'decide'; ",
        "error: method 'picky'.growth_options.size: 0 is too small",
        "error: method 'none'.growth: 'own.py:GrowthPolicy' lacks 'decide'; ",
        "error: method 'gate'.gate_options.k: 0 must be 1 or more experts",
    ]
    assert len(lines) == len(wanted)
    assert all(line.startswith(start) for line, start in zip(lines, wanted, strict=True))
    assert not (scenario.parent / "runs").exists()


def test_check_says_that_a_method_cannot_be_built(call: Callable[..., Any], scenario: Path) -> None:
    """A run would say so too, of itself alone."""
    (scenario.parent / "own.py").write_text(POLICIES)
    table = '[[methods]]\nname = "mine"\ntype = "own.py:broken"\n'
    scenario.write_text(scenario.read_text() + table)
    said = call("check", scenario, "--allow-code")
    assert said.code == 2
    assert said.err == "error: method 'mine': cannot be built (KeyError: 'a bug')\n"


EVERY_METHOD = "".join(
    f'\n[[methods]]\nname = "{name}"\n'
    for name in catalog.names("method")
    if name not in ("dense", "ewc")
)


def test_check_imports_avalanche_for_its_own_strategies_alone(scenario: Path) -> None:
    scenario.write_text(scenario.read_text() + EVERY_METHOD)
    script = (
        "import sys\nfrom cl_moe.cli import main\nsys.argv = ['cl-moe', 'check', 'tiny.toml']\n"
    )
    script += "try:\n    main()\nfinally:\n    print('LOADED', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    said, _, loaded = done.stdout.partition("LOADED")
    assert f"{len(catalog.names('method'))} methods x 2 seeds" in said
    heavy = {"avalanche", "torchvision", "sklearn", "scipy", "pandas", "matplotlib"}
    assert {"torch"} <= set(loaded.split())
    assert not heavy & set(loaded.split())
