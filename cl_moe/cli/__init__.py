"""The command ``cl-moe``; heavy packages are imported by the commands that use them."""

from __future__ import annotations

import io
import sys
from typing import Annotated, Any

import typer

from cl_moe.cli.estimate import estimate
from cl_moe.cli.predict import predict
from cl_moe.cli.printing import say
from cl_moe.cli.results import export, plot, report, summary, unpack
from cl_moe.cli.scenarios import check, list_parts, new
from cl_moe.cli.stopping import saying_so, sigterm_as_interrupt, stoppable
from cl_moe.cli.study import run, transfer
from cl_moe.errors import InputError, out_of_memory
from cl_moe.escape import line
from cl_moe.storage import FULL, storage_problem

__all__ = ("app", "main")

_UsageError: Any = typer.BadParameter.__mro__[1]
"""What typer raises for arguments that it cannot read; typer itself does not name it."""

_EXAMPLES = """\b
Examples:
  cl-moe list scenarios
  cl-moe run demo
  cl-moe summary runs/demo
"""

app = typer.Typer(
    name="cl-moe",
    help="Simulate continual learning: methods learn a stream of tasks, one after the other; "
    "forgetting and transfer are measured.",
    epilog=_EXAMPLES,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)


def _show_version(wanted: bool) -> None:
    if wanted:
        from cl_moe.runs.environment import version

        say(f"cl-moe {version()}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_show_version, is_eager=True, help="Print the version and exit."
        ),
    ] = False,
) -> None:
    """Options of the program."""


app.command(
    epilog="""\b
Examples:
  cl-moe run demo
  cl-moe run mine.toml --methods dense,moe --seeds 3 --jobs 2 --out runs/mine
  cl-moe run related_unrelated --data-dir ~/data --set training.epochs=3
  cl-moe run mine.toml --engine ray --address 10.0.0.1:6379 --memory-per-run 2GiB
"""
)(run)
app.command(
    epilog="""\b
Examples:
  cl-moe estimate mine.toml --jobs 2
  cl-moe estimate long_stream --methods dense,moe --set training.epochs=10 --json
"""
)(estimate)
app.command(
    epilog="""\b
Examples:
  cl-moe transfer digits_quick
  cl-moe transfer mine.toml --method dense,moe --seeds 3 --jobs 2 --out runs/mine
"""
)(transfer)
app.command(
    epilog="""\b
Examples:
  cl-moe predict runs/digits_quick rows.csv --method moe --task low-digits
  cl-moe predict runs/iris rows.csv --method moe --source iris --out predictions.csv
  cl-moe predict runs/digits_quick/runs/moe/seed_0/model images --task 0
"""
)(predict)
app.command(
    epilog="""\b
Examples:
  cl-moe summary runs/demo
  cl-moe summary runs/demo --json > summary.json
  cl-moe summary runs/demo --metric my_package.metrics:mine
"""
)(summary)
app.command(
    epilog="""\b
Examples:
  cl-moe plot runs/digits_quick
  cl-moe plot runs/digits_quick --format png,pdf --out figures
  cl-moe plot runs/digits_quick --figure my_package.figures:mine
"""
)(plot)
app.command(
    epilog="""\b
Examples:
  cl-moe report runs/digits_quick
  cl-moe report runs/digits_quick --out study.html
  cl-moe report runs/digits_quick --metric my_package.metrics:mine
"""
)(report)
app.command(
    epilog="""\b
Examples:
  cl-moe export runs/digits_quick results/digits_quick
  cl-moe summary results/digits_quick
"""
)(export)
app.command(
    epilog="""\b
Examples:
  cl-moe unpack results/related_unrelated runs/mine
  cl-moe run related_unrelated --methods moe,dense,my_methods:lora --out runs/mine
"""
)(unpack)
app.command(
    "list",
    epilog="""\b
Examples:
  cl-moe list scenarios
  cl-moe list methods ewc
  cl-moe list keys training
""",
)(list_parts)
app.command(
    epilog="""\b
Examples:
  cl-moe new mine
  cl-moe check mine.toml
  cl-moe run mine.toml
"""
)(new)
app.command(
    epilog="""\b
Examples:
  cl-moe check mine.toml
  cl-moe check related_unrelated --data-dir ~/data
  cl-moe check my_package.gates:MyGate
  cl-moe check parts.py:Blur --set degrees=30
  cl-moe check task --kind gate
"""
)(check)

for command in app.registered_commands:
    if command.callback is not None:
        command.callback = stoppable(command.callback)


def main() -> None:
    """Run the command line; invalid input is reported on standard error, with exit code 2."""
    if "" not in sys.path:  # the current folder, last, so that ``mine:Gate`` is found
        sys.path.append("")  # but no file there shadows an installed package
    if isinstance(sys.stdout, io.TextIOWrapper):  # a name may be beyond the terminal's encoding
        sys.stdout.reconfigure(errors="backslashreplace")
    try:
        with sigterm_as_interrupt():
            # Not typer's own printing of errors: it quotes arguments as they are.
            sys.exit(saying_so(lambda: app(standalone_mode=False)))
    except InputError as error:
        for problem in error.problems:
            say(f"error: {line(problem)}", err=True)
        sys.exit(2)
    except _UsageError as error:
        shown = io.StringIO()
        error.show(shown)
        say(shown.getvalue(), err=True, newline=False)
        sys.exit(error.exit_code)
    except (MemoryError, RuntimeError) as error:
        if not out_of_memory(error):
            raise
        say(f"error: there is not enough memory ({line(str(error))}); use smaller data", err=True)
        sys.exit(2)
    except OSError as error:  # a folder that cannot be written, a full disk, missing permissions
        if error.filename is None and error.errno not in FULL:
            raise
        say(f"error: {line(storage_problem(error))}", err=True)
        sys.exit(2)
