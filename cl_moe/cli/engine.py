"""The options that select the engine of the runs."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from cl_moe.errors import InputError

if TYPE_CHECKING:
    from cl_moe.runs.engines.spec import EngineLike

__all__ = (
    "Address",
    "Cpus",
    "Engine",
    "EngineName",
    "Gpus",
    "Jobs",
    "Memory",
    "chosen_engine",
    "start_workers",
)


class EngineName(str, enum.Enum):
    """The engine that executes runs."""

    local = "local"
    ray = "ray"


Jobs = Annotated[
    int | None,
    typer.Option(help="Number of parallel runs. Default: 1; with --engine ray, as many as fit."),
]
Engine = Annotated[
    EngineName, typer.Option(help="local: processes on this machine; ray: tasks on a Ray cluster.")
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Address of Ray; auto: a running local one. Default: RAY_ADDRESS, or a new local Ray.",
    ),
]
Cpus = Annotated[
    float | None,
    typer.Option("--cpus-per-run", help="Cores per run, with Ray. Default: its torch threads."),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-run",
        help="GPUs per run, with Ray (0.25: four runs share one). Default: 1 on cuda.",
    ),
]
Memory = Annotated[
    str | None,
    typer.Option("--memory-per-run", help="Memory per run, with Ray. Default: 1GiB."),
]


def chosen_engine(
    name: EngineName,
    address: str | None,
    cpus: float | None,
    gpus: float | None,
    memory: str | None,
) -> EngineLike:
    """Return the engine given by the options.

    Raises:
        InputError: Ray options without Ray, or invalid numbers: all problems.

    >>> chosen_engine(EngineName.ray, None, 2, None, None)
    RaySpec(address=None, cpus=2, gpus=None, memory='1GiB')
    """
    from cl_moe.runs.engines.spec import RaySpec

    options = {"cpus": cpus, "gpus": gpus, "memory": memory}
    given = {key: value for key, value in options.items() if value is not None}
    if name is EngineName.ray:
        try:
            return RaySpec(address, **given)  # type: ignore[arg-type]
        except InputError as error:
            raise InputError(_as_options(error.problems)) from error
    words = [*(["--address"] if address is not None else []), *(f"--{k}-per-run" for k in given)]
    if words:
        raise InputError(
            [f"{word}: requires Ray; add --engine ray, or remove the option" for word in words]
        )
    return "local"


def start_workers(engine: EngineLike, jobs: int | None, device: str, threads: int) -> None:
    """Let processes for several jobs import what runs need, while the command does so itself."""
    from cl_moe.runs.engines.forking import available, start_early

    if engine == "local" and jobs is not None and jobs > 1 and available(device, threads):
        start_early()


def _as_options(problems: list[str]) -> list[str]:
    words = [problem.partition(":") for problem in problems]
    return [f"--{key}-per-run:{rest}" for key, _, rest in words]
