"""``cl-moe run`` and ``cl-moe transfer``."""

from __future__ import annotations

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
    start_workers,
)
from cl_moe.cli.options import (
    AllowCode,
    DataDir,
    Device,
    Fresh,
    Methods,
    Out,
    Quiet,
    Scenario,
    Seeds,
    Settings,
    Threads,
    parse_seeds,
    parse_words,
    specified,
)
from cl_moe.cli.printing import say
from cl_moe.cli.stopping import again

if TYPE_CHECKING:
    import pandas as pd

    from cl_moe.analysis.data import StudyData
    from cl_moe.runs.failures import StudyError
    from cl_moe.runs.outcome import Study
    from cl_moe.runs.plan import StudyPlan

__all__ = ("run", "transfer")


def run(
    scenario: Scenario,
    methods: Methods = None,
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
        bool, typer.Option(help="Record learning curves during the training of each task.")
    ] = True,
    keep_models: Annotated[
        bool,
        typer.Option(
            "--keep-models",
            help="Save the model of each run after the last task, for cl-moe predict.",
        ),
    ] = False,
    checkpoint_steps: Annotated[
        int | None,
        typer.Option(
            min=1,
            metavar="N",
            help="Write checkpoints of unfinished runs every N optimizer steps, too, not only at "
            "the end of tasks.",
        ),
    ] = None,
    figures: Annotated[bool, typer.Option(help="Draw the figures and write the report.")] = True,
    allow_code: AllowCode = False,
    fresh: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Run a study: every method learns the tasks of a scenario, with every seed.

    After Ctrl-C or a crash, the same command resumes the study: completed runs are kept, and an
    unfinished run continues from its last checkpoint.
    """
    from cl_moe.cli.results import draw, show
    from cl_moe.runs.planning import make_plan

    where = chosen_engine(engine, address, cpus, gpus, memory)
    start_workers(where, jobs, device, threads)
    plan = make_plan(
        specified(scenario, settings, allow_code),
        None if methods is None else parse_words(methods, "--methods"),
        None if seeds is None else parse_seeds(seeds),
        device=device,
        data_dir=data_dir,
        threads=threads,
        curves=curves,
        elsewhere=where != "local",
    )
    study, folder, failed = _carry_out(
        plan,
        out,
        jobs=jobs,
        engine=where,
        keep_models=keep_models,
        checkpoint_steps=checkpoint_steps,
        fresh=fresh,
        progress=not quiet,
    )
    if study is not None:
        asked = _asked_for(study.data, plan)
        if asked.method_names:
            show(asked)
        say(f"results: {folder}")
        if keep_models:
            say(f"models:  {folder}/runs/METHOD/seed_N/model; cl-moe predict reads them")
        if len(asked.rows) < len(study.data.rows):
            say(f"more:    the folder holds more runs; cl-moe summary {folder} shows all")
        if figures:
            draw(study.data, folder)
    _end(failed)


def transfer(
    scenario: Scenario,
    methods: Annotated[
        str,
        typer.Option(
            "--method",
            "--methods",
            metavar="NAME",
            help="Method, or several separated by commas.",
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
    allow_code: AllowCode = False,
    fresh: Fresh = False,
    quiet: Quiet = False,
) -> None:
    """Measure the transfer matrix: the gain on each task when it is learned after one other task.

    Every method learns each task alone and then, from copies of that state, each other task. In the
    folder of a study, its runs of single_task are used, and summary, plot and report include the
    matrix. After Ctrl-C, completed runs are kept; the same command resumes.
    """
    from cl_moe.cli.results import show_transfer
    from cl_moe.runs.transfer import make_pair_plan

    where = chosen_engine(engine, address, cpus, gpus, memory)
    start_workers(where, jobs, device, threads)
    plan = make_pair_plan(
        specified(scenario, settings, allow_code),
        parse_words(methods, "--method"),
        None if seeds is None else parse_seeds(seeds),
        device=device,
        data_dir=data_dir,
        threads=threads,
        elsewhere=where != "local",
    )
    study, folder, failed = _carry_out(
        plan, out, jobs=jobs, engine=where, fresh=fresh, progress=not quiet
    )
    if study is not None:
        show_transfer(study, folder)
    _end(failed)


def _carry_out(
    plan: StudyPlan, out: Path | None, **how: Any
) -> tuple[Study | None, Path, StudyError | None]:
    """Run a plan and return the study, its folder, and the error of failed runs.

    The study is None if no run is complete.
    """
    from cl_moe.runs.failures import StudyError
    from cl_moe.runs.study import run_plan

    folder = out if out is not None else Path("runs") / plan.name
    try:
        return run_plan(plan, out=folder, **how), folder, None
    except StudyError as failed:
        return failed.study, folder, failed


def _end(failed: StudyError | None) -> None:
    """Report failed runs, and exit with code 1."""
    if failed is not None:
        say(f"error: {failed}\nto retry: {again()}", err=True)
        raise typer.Exit(1)


def _asked_for(data: StudyData, plan: StudyPlan) -> StudyData:
    """Return the methods and seeds of a plan from a folder that may hold others, too."""
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
