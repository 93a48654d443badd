"""The options that say where runs take place."""

from __future__ import annotations

import enum
from typing import TYPE_CHECKING, Annotated

import typer

from cl_moe.errors import InputError

if TYPE_CHECKING:
    from cl_moe.runs.engines.spec import EngineLike

__all__ = ("Address", "Cpus", "Engine", "EngineName", "Gpus", "Jobs", "Memory", "chosen_engine")


class EngineName(str, enum.Enum):
    """Where runs take place."""

    local = "local"
    ray = "ray"


Jobs = Annotated[
    int | None,
    typer.Option(help="Runs at once. Default: 1; with --engine ray, all that there is room for."),
]
Engine = Annotated[
    EngineName, typer.Option(help="Processes of this machine, or tasks on a cluster of Ray.")
]
Address = Annotated[
    str | None,
    typer.Option(
        metavar="HOST:PORT",
        help="Ray's; auto: the one that runs here. Default: RAY_ADDRESS, or a Ray of our own.",
    ),
]
Cpus = Annotated[
    float | None,
    typer.Option("--cpus-per-run", help="Cores a run takes of Ray. Default: its torch threads."),
]
Gpus = Annotated[
    float | None,
    typer.Option(
        "--gpus-per-run", help="GPUs a run takes of Ray (0.25: four share one). Default: 1 on cuda."
    ),
]
Memory = Annotated[
    str | None,
    typer.Option("--memory-per-run", help="Memory a run takes of Ray. Default: 1GiB."),
]


def chosen_engine(
    name: EngineName,
    address: str | None,
    cpus: float | None,
    gpus: float | None,
    memory: str | None,
) -> EngineLike:
    """Return the engine that the options ask for.

    Raises:
        InputError: options of Ray without Ray, or numbers that it cannot use; all of them.

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
            [f"{word}: is for Ray; add --engine ray, or take it out" for word in words]
        )
    return "local"


def _as_options(problems: list[str]) -> list[str]:
    words = [problem.partition(":") for problem in problems]
    return [f"--{key}-per-run:{rest}" for key, _, rest in words]
