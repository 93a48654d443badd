"""``cl-moe check`` of a part: what every part of its kind is held to, a line a check."""

from __future__ import annotations

import inspect
from collections import Counter
from pathlib import Path
from typing import Any

import typer

from cl_moe import catalog
from cl_moe.cli.printing import say
from cl_moe.errors import InputError, did_you_mean

__all__ = ("check_named", "is_part")


def is_part(name: str) -> bool:
    """Whether a name is that of a part (``package.module:Object``, ``file.py:Object``).

    >>> is_part("mine:Gate"), is_part("mine.toml")
    (True, False)
    """
    return ":" in name and not name.endswith(".toml")


def check_named(name: str, kind: str | None, settings: list[str], data_dir: Path | None) -> None:
    """Run the checks of its kind on a part, and print each result.

    Args:
        name: as above, or the name of a built-in part if ``kind`` is given.
        kind: one of :data:`cl_moe.testing.KINDS`; None to infer it from the part.
        settings: its parameters, as ``key=value``.
        data_dir: folder of real data, for sources.

    Raises:
        InputError: the part is unknown, or its parameters are invalid.
        typer.Exit: with code 1 if a check failed.
    """
    from cl_moe.streams.overrides import apply_overrides
    from cl_moe.testing import KINDS, kind_of, run_checks

    if kind is not None and kind not in KINDS:
        raise InputError(f"--kind: unknown kind '{kind}'; {did_you_mean(kind, KINDS)}")
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
        say(result)
    said = ", ".join(f"{count} {outcome}" for outcome, count in counts.items())
    say(f"{kind} '{name}': {said}")
    if counts["failed"]:
        raise typer.Exit(1)


def _require_parameters(name: str, kind: str, part: Any, parameters: dict[str, Any]) -> None:
    """Raise an InputError with every invalid or missing parameter."""
    from cl_moe.testing.common import GIVEN

    if callable(part):
        given = tuple(f"--set.{key}: missing" for key in GIVEN.get(kind, ()))
        foreign = kind == "method" and inspect.isclass(
            part
        )  # an Avalanche strategy gets the other parameters from the checks
        problems = [
            problem.replace("--set.", "--set ", 1)
            for problem in catalog.check_parameters(part, parameters, "--set")
            if not problem.startswith(given) and not (foreign and ": missing; " in problem)
        ]
    else:
        problems = [
            f"--set {key}: '{name}' is a value and has no parameters; remove the option"
            for key in parameters
        ]
    if problems:
        raise InputError(problems)
