"""Options shared by several commands, and the parsing of their values."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cl_moe.errors import InputError

if TYPE_CHECKING:
    from cl_moe.streams.scenario import ScenarioSpec

__all__ = (
    "AllowCode",
    "DataDir",
    "Device",
    "Fresh",
    "Methods",
    "Out",
    "Quiet",
    "Scenario",
    "Seeds",
    "Settings",
    "Threads",
    "parse_seeds",
    "parse_words",
    "specified",
)

Scenario = Annotated[
    str,
    typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a built-in scenario."),
]
Methods = Annotated[
    str | None,
    typer.Option(help="Names of methods, separated by commas. Default: those of the scenario."),
]
Seeds = Annotated[
    str | None,
    typer.Option(
        help="Number of seeds (5: seeds 0 to 4), or a list (0,3,4). Default: those of the scenario."
    ),
]
Out = Annotated[Path | None, typer.Option(help="Folder of the study. Default: runs/NAME.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="CL_MOE_DATA_DIR",
        show_envvar=True,
        help="Folder of real data, for scenarios that use them.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the scenario: training.epochs=3. Repeatable."
    ),
]
AllowCode = Annotated[
    bool,
    typer.Option(
        "--allow-code",
        help="Import all code that the file names, not only installed parts and code beside it.",
    ),
]
Threads = Annotated[int, typer.Option(help="Torch threads per run.")]
Fresh = Annotated[bool, typer.Option("--fresh", help="Remove earlier results in the folder first.")]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


def specified(scenario: str, settings: list[str] | None, allow_code: bool) -> ScenarioSpec:
    """Return the scenario of a study that is to be run, with the ``--set`` settings applied."""
    from cl_moe.streams.scenario import read_scenario

    return read_scenario(scenario, settings or (), allow_code=allow_code)[0]


def parse_words(text: str, option: str) -> list[str]:
    """Split a list of words at commas.

    >>> parse_words("dense, moe", "--methods")
    ['dense', 'moe']
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise InputError(f"{option}: '{text}' contains no name; give names separated by commas")
    return words


def parse_seeds(text: str) -> int | list[int]:
    """Return a number of seeds, or a list if there is a comma.

    >>> parse_seeds("5"), parse_seeds("0,3,4"), parse_seeds("3,")
    (5, [0, 3, 4], [3])
    """
    try:
        if "," not in text:
            return int(text)
        return [int(word) for word in parse_words(text, "--seeds")]
    except ValueError as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"--seeds: '{text}' is invalid; give a number of seeds (5) or a list (0,3,4)"
        ) from error
