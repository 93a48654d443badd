"""``cl-moe summary``, ``plot``, ``report``, ``export``, ``unpack``: what came out of a study."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cl_moe.cli.options import parse_words

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cl_moe.analysis.data import StudyData
    from cl_moe.analysis.tables import TableData
    from cl_moe.runs.outcome import Study

__all__ = ("draw", "export", "plot", "report", "show", "show_transfer", "summary", "unpack")

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="The folder that cl-moe run has written.")
]


OwnMetrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="A further metric: package.module:object, or one of cl-moe list metrics. Repeatable.",
    ),
]
OwnFigures = Annotated[
    list[str] | None,
    typer.Option(
        "--figure",
        metavar="NAME",
        help="A figure: package.module:object, or one of cl-moe list figures. Repeatable.",
    ),
]


def summary(
    folder: Folder,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="Print every metric: {method, metric, group, mean, low, high, seeds}."
        ),
    ] = False,
    metrics: OwnMetrics = None,
) -> None:
    """Print the methods side by side, means over seeds with 95 % intervals."""
    from cl_moe.analysis import few_seeds, summary_records
    from cl_moe.runs.loading import load_study
    from cl_moe.runs.store import StudyFolder

    data = replace(load_study(folder), metrics=metrics or ())
    if as_json:
        typer.echo(json.dumps(summary_records(data), indent=2))
        for text in few_seeds(data):
            typer.echo(f"Warning: {text}", err=True)
    else:
        show(data)
        for line, file in StudyFolder(folder).failures():
            typer.echo(f"Failed: {line} (traceback: {file})")


def plot(
    folder: Folder,
    formats: Annotated[
        str, typer.Option("--format", help="png, pdf, svg; several with commas between.")
    ] = "png",
    out: Annotated[
        Path | None, typer.Option(help="Where to write them. Default: DIR/figures.")
    ] = None,
    figures: OwnFigures = None,
) -> None:
    """Draw every figure that the study has data for, or those that are named."""
    from cl_moe.analysis import plot_all
    from cl_moe.runs.loading import load_study

    words = parse_words(formats, "--format")
    only = figures or ()
    for path in plot_all(load_study(folder), out or folder / "figures", words, only=only):
        typer.echo(str(path))


def report(
    folder: Folder,
    out: Annotated[
        Path | None, typer.Option(help="The file to write. Default: DIR/report.html.")
    ] = None,
    metrics: OwnMetrics = None,
    figures: OwnFigures = None,
) -> None:
    """Write one HTML file with the table, the figures and the decisions, to read or to mail."""
    from cl_moe.analysis import report as write_report
    from cl_moe.runs.loading import load_study

    data = replace(load_study(folder), metrics=metrics or (), figures=figures or ())
    typer.echo(str(write_report(data, out or folder / "report.html")))


def export(
    folder: Folder,
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="The folder to write, say results/NAME.")
    ],
    command: Annotated[
        str | None,
        typer.Option(help="What runs the study again, for the page. Default: a cl-moe run."),
    ] = None,
) -> None:
    """Write a study small enough for a repository: numbers, figures, and a page to read.

    The other commands read the folder as they read the study's own. A findings.md in it stays and
    stands at the head of the page, README.md.
    """
    from cl_moe.runs.export import export as write_export

    typer.echo(str(write_export(folder, target, command=command)))


def unpack(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="An exported study, say results/NAME.")
    ],
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="The folder to write, new or empty.")
    ],
    without: Annotated[
        str, typer.Option(help="Methods to leave out, with commas between: they run again.")
    ] = "",
) -> None:
    """Make an exported study a folder that cl-moe run goes on from.

    So a method of your own is compared with baselines that need not be run again.
    """
    from cl_moe.runs.unpack import unpack as write_unpacked

    left_out = parse_words(without, "--without") if without else []
    typer.echo(str(write_unpacked(folder, target, without=left_out)))


def show(data: StudyData) -> None:
    """Print the table of methods, what to know of it, and the transfer matrices, if any."""
    from cl_moe.analysis import remarks, table_data, transfer_tables

    _print([table_data(data)])
    for line in remarks(data):
        typer.echo(line)
    _print(transfer_tables(data))


def show_transfer(study: Study, folder: Path) -> None:
    """Print the transfer matrices; write them as a table and a figure, and say where."""
    from cl_moe.analysis import divergence_warnings, plot_all, transfer_tables
    from cl_moe.runs.files import write_text

    _print(transfer_tables(study.data))
    for text in divergence_warnings(study.data):
        typer.echo(f"Warning: {text}")
    typer.echo(f"results: {folder}")
    write_text(folder / "transfer.csv", study.transfer().to_csv(index=False, lineterminator="\n"))
    typer.echo(f"matrix:  {folder / 'transfer.csv'}")
    for path in plot_all(study.data, folder / "figures", ("png",), only=["transfer_matrix"]):
        typer.echo(f"figure:  {path}")


def _print(tables: Iterable[TableData]) -> None:
    from rich.console import Console

    from cl_moe.analysis import rich_table
    from cl_moe.analysis.fitting import fitting, width

    for found in tables:
        # A pipe or a file has no width of its own, and tables are wider than the 80 it would get.
        wide = None if sys.stdout.isatty() else max(140, width(found))
        console = Console(width=wide, force_jupyter=False)
        for part in fitting(found, console.width):
            console.print(rich_table(part))


def draw(data: StudyData, folder: Path) -> None:
    """Draw the figures and write the report of a study into its folder, and say where."""
    from cl_moe.analysis import plot_all
    from cl_moe.analysis import report as write_report

    paths = plot_all(data, folder / "figures", ("png",))
    typer.echo(f"figures: {folder / 'figures'} ({len(paths)} files)")
    typer.echo(f"report:  {write_report(data, folder / 'report.html')}")
