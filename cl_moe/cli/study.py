"""``cl-moe run`` and ``cl-moe transfer``."""

from __future__ import annotations

import shlex
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from cl_moe.cli.engine import (
    Address,
    Cpus,
    Engine,
    EngineName,
    Gpus,
    Jobs,
    Memory,
    chosen_engine,
)
from cl_moe.errors import InputError

if TYPE_CHECKING:
    import pandas as pd

    from cl_moe.analysis.data import StudyData
    from cl_moe.runs.plan import StudyPlan
    from cl_moe.runs.study import Study
    from cl_moe.streams.scenario import ScenarioSpec

__all__ = (
    "DataDir",
    "Device",
    "Scenario",
    "Seeds",
    "Settings",
    "Threads",
    "parse_seeds",
    "parse_words",
    "run",
    "specified",
    "transfer",
)

Scenario = Annotated[
    str, typer.Argument(metavar="SCENARIO", help="A scenario's file, or the name of a shipped one.")
]
Seeds = Annotated[
    str | None,
    typer.Option(help="How many (5: seeds 0 to 4), or which (0,3,4). Default: the scenario's."),
]
Out = Annotated[Path | None, typer.Option(help="The study's folder. Default: runs/NAME.")]
Device = Annotated[str, typer.Option(help="cpu, cuda, cuda:1, ...")]
DataDir = Annotated[
    Path | None,
    typer.Option(
        "--data-dir",
        envvar="CL_MOE_DATA_DIR",
        show_envvar=True,
        help="Folder of real data, for scenarios that have a use for it.",
    ),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set", metavar="KEY=VALUE", help="Change the scenario: training.epochs=3. Repeatable."
    ),
]
Threads = Annotated[int, typer.Option(help="Torch threads of each run.")]
Fresh = Annotated[
    bool, typer.Option("--fresh", help="Start over: remove earlier results in the folder.")
]
Quiet = Annotated[bool, typer.Option("--quiet", help="Show no progress.")]


def run(
    scenario: Scenario,
    methods: Annotated[
        str | None,
        typer.Option(help="Names of methods, with commas between. Default: the scenario's."),
    ] = None,
    seeds: Seeds = None,
    jobs: Jobs = None,
    engine: Engine = EngineName.local,
    address: Address = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    memory: Memory = None,
    out: Out = None,
    device: Device = "cpu",
    data_dir: DataDir = None,
    settings: Settings = None,
    threads: Threads = 1,
    curves: Annotated[
        bool, typer.Option(help="Record learning curves while each task is learned.")
    ] = True,
    figures: Annotated[bool, typer.Option(help="Draw figures and a report at the end.")] = True,
    fresh: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Run a study: every method learns the tasks of a scenario, with every seed.

    Ctrl-C keeps the runs that are whole; the same command goes on from there.
    """
    from cl_moe.cli.results import draw, show
    from cl_moe.runs.planning import make_plan

    where = chosen_engine(engine, address, cpus, gpus, memory)
    plan = make_plan(
        specified(scenario, settings),
        None if methods is None else parse_words(methods, "--methods"),
        None if seeds is None else parse_seeds(seeds),
        device=device,
        data_dir=data_dir,
        threads=threads,
        curves=curves,
        elsewhere=where != "local",
    )
    study, folder = _carry_out(plan, out, jobs=jobs, engine=where, fresh=fresh, progress=not quiet)
    asked = _asked_for(study.data, plan)
    show(asked)
    typer.echo(f"results: {folder}")
    if len(asked.rows) < len(study.data.rows):
        typer.echo(f"more:    the folder holds more runs; cl-moe summary {folder} shows all")
    if figures:
        draw(study.data, folder)


def transfer(
    scenario: Scenario,
    methods: Annotated[
        str,
        typer.Option(
            "--method",
            "--methods",
            metavar="NAME",
            help="Who learns; several names with commas between.",
        ),
    ] = "moe",
    seeds: Seeds = None,
    jobs: Jobs = None,
    engine: Engine = EngineName.local,
    address: Address = None,
    cpus: Cpus = None,
    gpus: Gpus = None,
    memory: Memory = None,
    out: Out = None,
    device: Device = "cpu",
    data_dir: DataDir = None,
    settings: Settings = None,
    threads: Threads = 1,
    fresh: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Measure what each task gains when it is learned after each other one, over learning it alone.

    Every method learns each task alone and then, from copies of that state, each other task. The
    folder may be one that cl-moe run has written: its runs of alone are used, and summary, plot and
    report show the matrix too. Ctrl-C keeps the runs that are whole; the same command goes on.
    """
    from cl_moe.cli.results import show_transfer
    from cl_moe.runs.transfer import make_pair_plan

    where = chosen_engine(engine, address, cpus, gpus, memory)
    plan = make_pair_plan(
        specified(scenario, settings),
        parse_words(methods, "--method"),
        None if seeds is None else parse_seeds(seeds),
        device=device,
        data_dir=data_dir,
        threads=threads,
        elsewhere=where != "local",
    )
    study, folder = _carry_out(plan, out, jobs=jobs, engine=where, fresh=fresh, progress=not quiet)
    show_transfer(study, folder)


def specified(scenario: str, settings: list[str] | None) -> ScenarioSpec:
    """Return the scenario that is asked for, with its ``--set`` settings."""
    from cl_moe.streams.scenario import load_scenario

    spec = load_scenario(scenario)
    return spec.with_overrides(settings) if settings else spec


def _carry_out(plan: StudyPlan, out: Path | None, **how: Any) -> tuple[Study, Path]:
    """Run a plan and return the study and its folder; when stopped, say how to go on, and exit."""
    from cl_moe.runs.driver import StudyInterrupted
    from cl_moe.runs.study import run_plan

    folder = out if out is not None else Path("runs") / plan.name
    try:
        return run_plan(plan, out=folder, **how), folder
    except StudyInterrupted as stopped:
        again = shlex.join(word for word in sys.argv[1:] if word != "--fresh")
        typer.echo(f"{stopped}\nto go on: cl-moe {again}", err=True)
        raise typer.Exit(130) from None


def _asked_for(data: StudyData, plan: StudyPlan) -> StudyData:
    """Return what a plan asked for of a folder, which may hold other methods and seeds too."""
    names = [method.name for method in plan.methods]

    def only(frame: pd.DataFrame) -> pd.DataFrame:
        return frame[frame["method"].isin(names) & frame["seed"].isin(plan.seeds)]

    return replace(
        data,
        rows=only(data.rows),
        methods=data.methods[data.methods["method"].isin(names)],
        events=[e for e in data.events if e["method"] in names and e["seed"] in plan.seeds],
        timings=only(data.timings),
        pairs=only(data.pairs),
        baseline=data.baseline if data.baseline in names else None,
    )


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
