"""``cl-moe predict``: what a kept model says of rows."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from cl_moe.cli.options import AllowCode
from cl_moe.cli.printing import say
from cl_moe.errors import InputError

if TYPE_CHECKING:
    from cl_moe.training.model import TaskModel

__all__ = ("predict",)


def predict(
    model: Annotated[
        Path,
        typer.Argument(
            metavar="MODEL", help="Folder of a saved model, or of a study (with --method)."
        ),
    ],
    data: Annotated[
        Path,
        typer.Argument(
            metavar="DATA",
            help="A .csv, .tsv or .npz file (arrays x and, if known, y), or a folder of images.",
        ),
    ],
    task: Annotated[
        str | None,
        typer.Option(help="Name or label of the rows' task. Default: the only task of the model."),
    ] = None,
    label: Annotated[
        str | None,
        typer.Option(help="Label column of a table: not an input, used for the accuracy."),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="For a study: standardise columns as this source of the scenario."),
    ] = None,
    method: Annotated[
        str | None, typer.Option(help="For a study: the method of the model.")
    ] = None,
    seed: Annotated[int, typer.Option(help="For a study: the seed of the run.")] = 0,
    out: Annotated[Path, typer.Option(help="Output table; - prints it.")] = Path("predictions.csv"),
    allow_code: AllowCode = False,
) -> None:
    """Predict rows with a model saved by cl-moe run --keep-models or model.save.

    Writes a table with the prediction of each row and the probability of every class. Columns
    except the label are used unchanged, or standardised with --source; images are converted to the
    model's size and channels; if labels are given, the accuracy is printed.
    """
    from cl_moe.runs.folder.files import write_text
    from cl_moe.runs.predict import predictions, scaling, standardising, study_of, task_of
    from cl_moe.streams.rows import columns_of, read_rows

    found, study = _model(model, method, seed, allow_code), study_of(model)
    label_of_task = task_of(found, task)
    scale = None
    if source is not None:
        if study is None:
            raise InputError(f"--source: {model} is not part of a study; remove the option")
        scale = scaling(study, source)
        if (
            label is None
            and data.is_file()
            and len(scale.labels) == 1
            and scale.labels[0] in columns_of(data)
        ):
            (label,) = scale.labels
    elif data.suffix in (".csv", ".tsv") and study is not None and (names := standardising(study)):
        say(
            f"note: columns are used unchanged; --source {names[0]} standardises them like the "
            "source of the study",
            err=True,
        )
    rows = read_rows(data, _shape(found, model), label, scale.features if scale else ())
    if scale is not None:
        rows = scale.rows(rows)
    answers = predictions(found, rows, label_of_task)
    accuracy = answers.accuracy()
    if str(out) == "-":
        say(answers.table(), newline=False)
    else:
        if not out.parent.is_dir():
            raise InputError(
                f"--out: {out.parent} is not a folder; give a file in an existing folder"
            )
        write_text(out, answers.table())
        say(f"predictions: {out} ({len(rows.names)} rows)")
    if accuracy is not None:
        say(f"accuracy: {100 * accuracy:.1f} %", err=str(out) == "-")


def _model(path: Path, method: str | None, seed: int, allow_code: bool) -> TaskModel:
    from cl_moe.runs.folder.kept import kept_model
    from cl_moe.strategies.saved import load

    if (path / "study.json").is_file():
        if method is None:
            raise InputError(f"{path}: is a study; name the method of the model with --method NAME")
        return kept_model(path, method, seed, allow_code=allow_code)
    if method is not None:
        raise InputError(
            f"--method: {path} is not a study; remove the option, or give the folder of a study"
        )
    return load(path, allow_code=allow_code)


def _shape(model: TaskModel, path: Path) -> tuple[int, ...]:
    shape = model.origin.get("shape")
    if shape is None:
        raise InputError(f"{path}: the model has no input shape; use model(x, task) in Python")
    return tuple(shape)
