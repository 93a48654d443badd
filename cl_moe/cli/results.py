"""``cl-moe summary``, ``plot``, ``report``, ``export``, ``unpack``: what came out of a study."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cl_moe.cli.options import parse_words
from cl_moe.cli.printing import say
from cl_moe.escape import line

if TYPE_CHECKING:
    from collections.abc import Iterable

    from cl_moe.analysis.data import StudyData
    from cl_moe.analysis.tables import TableData
    from cl_moe.runs.outcome import Study

__all__ = ("draw", "export", "plot", "report", "show", "show_transfer", "summary", "unpack")

Folder = Annotated[
    Path, typer.Argument(metavar="DIR", help="Folder of a study, written by cl-moe run.")
]


OwnMetrics = Annotated[
    list[str] | None,
    typer.Option(
        "--metric",
        metavar="NAME",
        help="Additional metric: package.module:object, or one of cl-moe list metrics. Repeatable.",
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
    """Print the table of methods: means over seeds with 95 % intervals."""
    from cl_moe.analysis import few_seeds, summary_records
    from cl_moe.runs.folder.loading import load_study
    from cl_moe.runs.folder.store import StudyFolder

    study = load_study(folder)
    data = replace(study, metrics=metrics or ())
    if study.note is not None:
        say(f"Note: {study.note}", err=True)
    if as_json:
        say(json.dumps(summary_records(data), indent=2))
        for text in few_seeds(data):
            say(f"Warning: {line(text)}", err=True)
    else:
        show(data)
        for reason, file in StudyFolder(folder).failures():
            say(f"Failed: {line(reason)} (traceback: {file})")


def plot(
    folder: Folder,
    formats: Annotated[
        str, typer.Option("--format", help="png, pdf or svg; several separated by commas.")
    ] = "png",
    out: Annotated[Path | None, typer.Option(help="Output folder. Default: DIR/figures.")] = None,
    figures: OwnFigures = None,
) -> None:
    """Draw all figures for which the study has data, or those given."""
    from cl_moe.analysis import plot_all
    from cl_moe.runs.folder.loading import load_study

    words = parse_words(formats, "--format")
    only = figures or ()
    for path in plot_all(load_study(folder), out or folder / "figures", words, only=only):
        say(path)


def report(
    folder: Folder,
    out: Annotated[Path | None, typer.Option(help="Output file. Default: DIR/report.html.")] = None,
    metrics: OwnMetrics = None,
    figures: OwnFigures = None,
) -> None:
    """Write one self-contained HTML file with the table, the figures and the growth decisions."""
    from cl_moe.analysis import report as write_report
    from cl_moe.runs.folder.loading import load_study

    data = replace(load_study(folder), metrics=metrics or (), figures=figures or ())
    say(write_report(data, out or folder / "report.html"))


def export(
    folder: Folder,
    target: Annotated[
        Path, typer.Argument(metavar="TARGET", help="Output folder, for example results/NAME.")
    ],
    command: Annotated[
        str | None,
        typer.Option(
            help="The command that reproduces the study, for the page. Default: cl-moe run ..."
        ),
    ] = None,
) -> None:
    """Write a study as a folder small enough for a repository: numbers, figures and a page.

    The other commands can read that folder, too. An existing findings.md in it is kept and included
    at the top of the page, README.md.
    """
    from cl_moe.runs.folder.export import export as write_export

    say(write_export(folder, target, command=command))


def unpack(
    folder: Annotated[
        Path, typer.Argument(metavar="DIR", help="An exported study, for example results/NAME.")
    ],
    target: Annotated[Path, typer.Argument(metavar="TARGET", help="Output folder, new or empty.")],
    without: Annotated[
        str, typer.Option(help="Methods to exclude, separated by commas; they are run again.")
    ] = "",
) -> None:
    """Turn an exported study into a folder that cl-moe run can resume.

    For example, to compare your own method with the baselines without running them again.
    """
    from cl_moe.runs.folder.unpack import unpack as write_unpacked

    left_out = parse_words(without, "--without") if without else []
    say(write_unpacked(folder, target, without=left_out))


def show(data: StudyData) -> None:
    """Print the table of methods, the verdict, warnings, and transfer matrices, if any."""
    from cl_moe.analysis import remarks, table_data, transfer_tables

    _print([table_data(data)])
    for remark in remarks(data):
        say(line(remark))
    _print(transfer_tables(data))


def show_transfer(study: Study, folder: Path) -> None:
    """Print the transfer matrices; write them as a table and a figure, and print the paths."""
    from cl_moe.analysis import divergence_warnings, plot_all, transfer_tables
    from cl_moe.runs.folder.files import write_text

    _print(transfer_tables(study.data))
    for text in divergence_warnings(study.data):
        say(f"Warning: {line(text)}")
    say(f"results: {folder}")
    write_text(folder / "transfer.csv", study.transfer().to_csv(index=False, lineterminator="\n"))
    say(f"matrix:  {folder / 'transfer.csv'}")
    for path in plot_all(study.data, folder / "figures", ("png",), only=["transfer_matrix"]):
        say(f"figure:  {path}")


def _print(tables: Iterable[TableData]) -> None:
    from rich.console import Console

    from cl_moe.analysis import rich_table
    from cl_moe.analysis.fitting import fitting, width

    for found in tables:
        # Pipes and files have no width; the default of 80 characters is too narrow.
        wide = None if sys.stdout.isatty() else max(140, width(found))
        console = Console(width=wide, force_jupyter=False)
        for part in fitting(found, console.width):
            console.print(rich_table(part))


def draw(data: StudyData, folder: Path) -> None:
    """Draw the figures and write the report of a study into its folder, and print the paths."""
    from cl_moe.analysis import plot_all
    from cl_moe.analysis import report as write_report

    paths = plot_all(data, folder / "figures", ("png",))
    say(f"figures: {folder / 'figures'} ({len(paths)} files)")
    say(f"report:  {write_report(data, folder / 'report.html')}")
