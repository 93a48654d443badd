"""``cl-moe run``."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from cl_moe.errors import InputError

__all__ = ("DataDir", "run")

DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="CL_MOE_DATA_DIR",
        show_envvar=True,
        help="Folder of real data, for scenarios that have a use for it.",
    ),
]


def run(
    scenario: Annotated[
        str,
        typer.Argument(metavar="SCENARIO", help="A scenario's file, or the name of a shipped one."),
    ],
    methods: Annotated[
        str | None,
        typer.Option(help="Names of methods, with commas between. Default: the scenario's."),
    ] = None,
    seeds: Annotated[
        str | None,
        typer.Option(help="How many (5: seeds 0 to 4), or which (0,3,4). Default: the scenario's."),
    ] = None,
    jobs: Annotated[int, typer.Option(help="Processes to use.")] = 1,
    out: Annotated[
        Path | None, typer.Option(help="The study's folder. Default: runs/NAME.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")] = "cpu",
    data_dir: DataDir = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set", metavar="KEY=VALUE", help="Change the scenario: training.epochs=3. Repeatable."
        ),
    ] = None,
    threads: Annotated[int, typer.Option(help="Torch threads of each run.")] = 1,
    curves: Annotated[
        bool, typer.Option(help="Record learning curves while each task is learned.")
    ] = True,
    figures: Annotated[bool, typer.Option(help="Draw figures and a report at the end.")] = True,
    fresh: Annotated[
        bool, typer.Option("--fresh", help="Start over: remove earlier results in the folder.")
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Show no progress.")] = False,
) -> None:
    """Run a study: every method learns the tasks of a scenario, with every seed.

    Ctrl-C keeps the runs that are whole; the same command goes on from there.
    """
    from cl_moe.cli.results import draw, show
    from cl_moe.runs.driver import StudyInterrupted
    from cl_moe.runs.planning import make_plan
    from cl_moe.runs.study import run_plan
    from cl_moe.streams.scenario import load_scenario

    spec = load_scenario(scenario)
    if settings:
        spec = spec.with_overrides(settings)
    plan = make_plan(
        spec,
        None if methods is None else parse_words(methods, "--methods"),
        None if seeds is None else parse_seeds(seeds),
        device=device,
        data_dir=data_dir,
        threads=threads,
        curves=curves,
    )
    folder = out if out is not None else Path("runs") / spec.name
    try:
        study = run_plan(plan, jobs=jobs, out=folder, fresh=fresh, progress=not quiet)
    except StudyInterrupted as stopped:
        again = shlex.join(word for word in sys.argv[1:] if word != "--fresh")
        typer.echo(f"{stopped}\nto go on: cl-moe {again}", err=True)
        raise typer.Exit(130) from None
    show(study.data)
    typer.echo(f"results: {folder}")
    if figures:
        draw(study.data, folder)


def parse_words(text: str, option: str) -> list[str]:
    """Return the words between commas.

    >>> parse_words("dense, moe", "--methods")
    ['dense', 'moe']
    """
    words = [word.strip() for word in text.split(",") if word.strip()]
    if not words:
        raise InputError(f"{option}: '{text}' names nothing; give names with commas between")
    return words


def parse_seeds(text: str) -> int | list[int]:
    """Return a number of seeds, or a list where there is a comma.

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
            f"--seeds: '{text}' is not understood; give a number of seeds (5) or a list (0,3,4)"
        ) from error
