"""``cl-moe list``, ``new`` and ``check``."""

from __future__ import annotations

import enum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cl_moe.cli.options import AllowCode, DataDir
from cl_moe.cli.parts import check_named, is_part
from cl_moe.cli.printing import say
from cl_moe.errors import InputError
from cl_moe.references import NotImportedError, Origin, reading

if TYPE_CHECKING:
    from cl_moe.runs.plan import StudyPlan

__all__ = ("Kind", "check", "list_parts", "new")


class Kind(str, enum.Enum):
    """The kinds of objects that can be listed."""

    scenarios = "scenarios"
    methods = "methods"
    gates = "gates"
    heads = "heads"
    experts = "experts"
    growth = "growth"
    sources = "sources"
    operators = "operators"
    metrics = "metrics"
    figures = "figures"
    keys = "keys"


def list_parts(
    kind: Annotated[
        Kind,
        typer.Argument(
            metavar="KIND",
            help="scenarios, methods, gates, heads, experts, growth, sources, operators, metrics, "
            "figures, or keys (of the tables training, network and stream).",
        ),
    ],
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Describe this one.")] = None,
) -> None:
    """List scenarios or parts, one line each; with a name, describe that one."""
    from cl_moe.cli import listing

    if name is not None:
        say(listing.describe(kind.value, name))
        return
    lines = listing.lines(kind.value)
    width = max((len(name) for name in lines), default=0)
    for found, text in lines.items():
        say(f"{found:<{width}}  {text}".rstrip())


def new(
    name: Annotated[
        str, typer.Argument(metavar="NAME", help="Name of the new scenario; writes NAME.toml.")
    ],
) -> None:
    """Write a commented scenario as a template."""
    from cl_moe.cli.template import TEMPLATE

    path = Path(name if name.endswith(".toml") else f"{name}.toml")
    if not path.stem.replace("-", "_").isidentifier():
        raise InputError(f"NAME: '{path.stem}' is not a valid name; use letters, digits, _ and -")
    if not path.parent.is_dir():
        raise InputError(f"NAME: the folder '{path.parent}' does not exist; create it first")
    try:
        with path.open("x", encoding="utf-8") as file:
            file.write(TEMPLATE.replace("NAME", path.stem))
    except FileExistsError as error:
        raise InputError(f"NAME: {path} exists; give another name") from error
    say(f"{path}: edit it, then\n  cl-moe check {path}\n  cl-moe run {path}")


def check(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE|PART",
            help="A scenario file or the name of a built-in scenario; or a part: "
            "package.module:Object or file.py:Object, or with --kind the name of a built-in part.",
        ),
    ],
    kind: Annotated[
        str | None,
        typer.Option(
            help="Kind of the part: gate, head, expert, growth, source, operator, method, metric "
            "or figure. Default: inferred from its type; a function is a method."
        ),
    ] = None,
    settings: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Set a parameter of the part, or change the scenario: training.epochs=3. "
            "Repeatable.",
        ),
    ] = None,
    data_dir: DataDir = None,
    allow_code: AllowCode = False,
) -> None:
    """Report all errors of a scenario; if there are none, show its tasks and methods.

    Code beside the scenario is imported, and checked, only with --allow-code. For a part, run the
    checks that built-in parts must pass, and print one line per check: passed, failed or not
    applicable, with the reason. The exit code is 1 if a check failed.
    """
    if kind is not None or is_part(file):
        check_named(file, kind, settings or [], data_dir)
        return
    from cl_moe.runs.planning import make_plan
    from cl_moe.streams.scenario import read_scenario

    spec, named = read_scenario(file, settings or (), allow_code=allow_code, imports=allow_code)
    with reading(Origin(Path(file), allow_code=True, imports=allow_code)):
        plan = make_plan(spec, data_dir=data_dir)
        stream = _built(plan)
    for line in [*plan.notes, *([] if stream is None else [stream])]:
        say(line)
    if named and not allow_code:
        say(f"not imported, and not checked: {', '.join(named)}; add --allow-code")
    _show_methods(plan)


def _built(plan: StudyPlan) -> str | None:
    """Build the stream and all methods, and return a description of the stream.

    None: it needs code that is not to be imported.
    """
    from cl_moe.runs.build import build_problems
    from cl_moe.runs.plan import Streams

    streams = Streams(plan)
    try:
        stream = streams(plan.jobs()[0])
    except NotImportedError:
        return None
    problems = build_problems(plan, plan.first_jobs(), streams, bugs=True)
    if problems:
        raise InputError(problems)
    return repr(stream)


def _show_methods(plan: StudyPlan) -> None:
    say("methods")
    for method in plan.methods:
        words = [f"{key} = {value}" for key, value in method.parameters.items()]
        words += [f"{key} from {list(values)}" for key, values in method.grid.items()]
        kind = "" if method.type == method.name else f" ({method.type})"
        say(f"  {method.name}{kind}{': ' if words else ''}{', '.join(words)}")
    choices = sum(len(method.settings()) for method in plan.methods)
    tuning = f", after {choices} runs to choose parameters" if choices else ""
    say(f"{len(plan.methods)} methods x {len(plan.seeds)} seeds = {len(plan.jobs())} runs{tuning}")
