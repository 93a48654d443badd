"""``cl-moe predict``: what a kept model says of rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cl_moe.errors import InputError

if TYPE_CHECKING:
    from cl_moe.training.model import TaskModel

__all__ = ("predict",)


def predict(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="A saved model's folder, or DIR of a study (--method)."
        ),
    ],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA", help="A .csv, .tsv or .npz file (arrays x and, if known, y), or images."
        ),
    ],
    task: Annotated[
        str | None,
        typer.Option(help="Name or label of the rows' task. Default: the model's only one."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="A table's column of labels, left out and compared with."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="Of a study: standardise columns as its source of this name did."),
    ] = None,
    method: Annotated[str | None, typer.Option(help="Of a study: whose model.")] = None,
    seed: Annotated[int, typer.Option(help="Of a study: the run's seed.")] = 0,
    out: Annotated[Path, typer.Option(help="The table to write; - prints it.")] = Path(
        "predictions.csv"
    ),
) -> None:
    """Answer rows with a model that cl-moe run --keep-models or model.save has kept.

    A table with the prediction for each row and the probability of every class. Columns are taken
    as they are, all but the label, or with --source as that source took them; images are brought to
    the model's size and channels; labels that come with the rows give the accuracy.
    """
    from cl_moe.runs.files import write_text
    from cl_moe.runs.predict import predictions, scaling, standardising, study_of, task_of
    from cl_moe.streams.rows import columns_of, read_rows

    found, study = _model(model, method, seed), study_of(model)
    label_of_task = task_of(found, task)
    scale = None
    if source is not None:
        if study is None:
            raise InputError(f"--source: {model} belongs to no study; take it out")
        scale = scaling(study, source)
        if (
            label is None
            and data.is_file()
            and len(scale.labels) == 1
            and scale.labels[0] in columns_of(data)
        ):
            (label,) = scale.labels
    elif data.suffix in (".csv", ".tsv") and study is not None and (names := standardising(study)):
        typer.echo(
            f"note: columns are taken as they are; --source {names[0]} standardises them as the "
            "study's source did",
            err=True,
        )
    rows = read_rows(data, _shape(found, model), label, scale.features if scale else ())
    if scale is not None:
        rows = scale.rows(rows)
    answers = predictions(found, rows, label_of_task)
    accuracy = answers.accuracy()
    if str(out) == "-":
        typer.echo(answers.table(), nl=False)
    else:
        if not out.parent.is_dir():
            raise InputError(f"--out: {out.parent} is no folder; give a file in one that is there")
        write_text(out, answers.table())
        typer.echo(f"predictions: {out} ({len(rows.names)} rows)")
    if accuracy is not None:
        typer.echo(f"accuracy: {100 * accuracy:.1f} %", err=str(out) == "-")


def _model(path: Path, method: str | None, seed: int) -> TaskModel:
    from cl_moe.runs.kept import kept_model
    from cl_moe.strategies.saved import load

    if (path / "study.json").is_file():
        if method is None:
            raise InputError(f"{path}: a study; say whose model, with --method NAME")
        return kept_model(path, method, seed)
    if method is not None:
        raise InputError(f"--method: {path} is no study; take it out, or give a study's folder")
    return load(path)


def _shape(model: TaskModel, path: Path) -> tuple[int, ...]:
    shape = model.origin.get("shape")
    if shape is None:
        raise InputError(f"{path}: does not say what shape its rows have; answer them in Python")
    return tuple(shape)
