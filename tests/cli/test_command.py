"""The command line as a whole: flags, help, version, imports."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from typing import Any

import click
import pytest
import typer

import cl_moe
from cl_moe.cli import app

# Scripts rely on these: take none away, and change this list on purpose alone.
FLAGS = {
    "run": [
        "SCENARIO", "--methods", "--seeds", "--jobs", "--engine", "--address", "--cpus-per-run",
        "--gpus-per-run", "--memory-per-run", "--out", "--device", "--data-dir", "--set",
        "--threads", "--curves/--no-curves", "--keep-models", "--checkpoint-steps",
        "--figures/--no-figures", "--allow-code", "--fresh", "--quiet",
    ],
    "predict": [
        "MODEL", "DATA", "--task", "--label", "--source", "--method", "--seed", "--out",
        "--allow-code",
    ],
    "estimate": [
        "SCENARIO", "--methods", "--seeds", "--jobs", "--device", "--data-dir", "--set",
        "--threads", "--allow-code", "--json",
    ],
    "transfer": [
        "SCENARIO", "--method/--methods", "--seeds", "--jobs", "--engine", "--address",
        "--cpus-per-run", "--gpus-per-run", "--memory-per-run", "--out", "--device", "--data-dir",
        "--set", "--threads", "--allow-code", "--fresh", "--quiet",
    ],
    "summary": ["DIR", "--json", "--metric"],
    "plot": ["DIR", "--format", "--out", "--figure"],
    "report": ["DIR", "--out", "--metric", "--figure"],
    "export": ["DIR", "TARGET", "--command"],
    "unpack": ["DIR", "TARGET", "--without"],
    "list": ["KIND", "[NAME]"],
    "new": ["NAME"],
    "check": ["FILE|PART", "--kind", "--set", "--data-dir", "--allow-code"],
}  # fmt: skip
HEAVY = {"torch", "torchvision", "avalanche", "pandas", "matplotlib", "scipy", "sklearn", "seaborn"}


def flags(command: click.Command) -> list[str]:
    found = []
    for parameter in command.params:
        if parameter.param_type_name == "argument":
            found.append(parameter.metavar or (parameter.name or "").upper())
        else:
            found.append("/".join([*parameter.opts, *parameter.secondary_opts]))
    return found


def test_the_flags_are_frozen() -> None:
    group = typer.main.get_command(app)
    commands: dict[str, click.Command] = group.commands  # type: ignore[attr-defined]
    assert {name: flags(command) for name, command in commands.items()} == FLAGS


@pytest.mark.parametrize("words", [[], *([name] for name in FLAGS)])
def test_help_has_examples(call: Callable[..., Any], words: list[str]) -> None:
    said = call(*words, "--help")
    assert said.code == 0
    _, found, examples = said.out.partition("Examples:\n")
    assert found
    assert examples.split()[: len(words) + 1] == ["cl-moe", *words]


def test_the_version(call: Callable[..., Any]) -> None:
    said = call("--version")
    assert said.code == 0
    assert said.out == f"cl-moe {cl_moe.__version__}\n"


def test_an_unknown_command(call: Callable[..., Any]) -> None:
    said = call("runn")
    assert said.code == 2
    assert "No such command 'runn'" in said.err


@pytest.mark.parametrize(
    "code",
    [
        "import cl_moe",
        "import cl_moe.runs.study, cl_moe.runs.folder.store",
        "import sys; sys.argv = ['cl-moe', '--help']; import cl_moe.cli\n"
        "try: cl_moe.cli.main()\nexcept SystemExit: pass",
        "import sys; sys.argv = ['cl-moe', 'run', '--help']; import cl_moe.cli\n"
        "try: cl_moe.cli.main()\nexcept SystemExit: pass",
        "import sys; sys.argv = ['cl-moe', 'list', 'scenarios']; import cl_moe.cli\n"
        "try: cl_moe.cli.main()\nexcept SystemExit: pass",
    ],
)
def test_nothing_heavy_is_imported_early(code: str) -> None:
    script = f"{code}\nimport sys\nprint('LOADED', *sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    loaded = set(done.stdout.rpartition("LOADED")[2].split())
    assert "cl_moe" in loaded
    assert not loaded & HEAVY


def test_the_public_names() -> None:
    for name in cl_moe.__all__:
        assert getattr(cl_moe, name) is not None
        assert name in dir(cl_moe)
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        cl_moe.nothing  # noqa: B018
