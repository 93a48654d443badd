"""``cl-moe check`` of a part: what every part of its kind is held to, a line a check."""

from __future__ import annotations

import inspect
from collections import Counter
from pathlib import Path
from typing import Any

import typer

from cl_moe import catalog
from cl_moe.errors import InputError, did_you_mean

__all__ = ("check_named", "is_part")


def is_part(name: str) -> bool:
    """Tell a part, ``package.module:Object`` or ``file.py:Object``, from a scenario.

    >>> is_part("mine:Gate"), is_part("mine.toml")
    (True, False)
    """
    return ":" in name and not name.endswith(".toml")


def check_named(name: str, kind: str | None, settings: list[str], data_dir: Path | None) -> None:
    """Hold a part to the checks of its kind, and print what each found.

    Args:
        name: as above, or with a kind a name of the catalogue.
        kind: one of :data:`cl_moe.testing.KINDS`; None to go by what the part is.
        settings: its parameters, ``key=value``.
        data_dir: folder of real data, for sources.

    Raises:
        InputError: no such part, or parameters that do not fit.
        typer.Exit: with 1, a check failed.
    """
    from cl_moe.streams.overrides import apply_overrides
    from cl_moe.testing import KINDS, kind_of, run_checks

    if kind is not None and kind not in KINDS:
        raise InputError(f"--kind: no kind is called '{kind}'; {did_you_mean(kind, KINDS)}")
    part = catalog.resolve(kind or "metric", name, "PART")
    kind = kind_of(part, name, kind)
    parameters = apply_overrides({}, settings)
    if kind == "expert" and inspect.isfunction(part):
        from cl_moe.moe.experts._any import AnyModule

        part, parameters = AnyModule, {"make": part}
    elif kind == "source" and inspect.isfunction(part):
        from cl_moe.streams.sources.function import Function

        part, parameters = Function, {"function": name, "arguments": parameters}
    _require_parameters(name, kind, part, parameters)
    counts: Counter[str] = Counter()
    for result in run_checks(kind, part, parameters, data_dir):
        counts[result.outcome] += 1
        typer.echo(str(result))
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    typer.echo(f"{kind} '{name}': {said}")
    if counts["failed"]:
        raise typer.Exit(1)


def _require_parameters(name: str, kind: str, part: Any, parameters: dict[str, Any]) -> None:
    """Raise an InputError with every parameter that does not fit, or is missing."""
    from cl_moe.testing.common import GIVEN

    if callable(part):
        given = tuple(f"--set.{key}: missing" for key in GIVEN.get(kind, ()))
        foreign = kind == "method" and inspect.isclass(part)  # Avalanche's: the rest is given to it
        problems = [
            problem.replace("--set.", "--set ", 1)
            for problem in catalog.check_parameters(part, parameters, "--set")
            if not problem.startswith(given) and not (foreign and ": missing; " in problem)
        ]
    else:
        problems = [f"--set {key}: '{name}' is a value, and takes nothing" for key in parameters]
    if problems:
        raise InputError(problems)
