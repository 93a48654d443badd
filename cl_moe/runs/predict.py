"""Predictions of a saved model for rows, as a table."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.errors import InputError, did_you_mean
from cl_moe.runs.folder.description import read_description

if TYPE_CHECKING:
    from torch import Tensor

    from cl_moe.streams.rows import Rows
    from cl_moe.training.model import TaskModel

__all__ = (
    "Predictions",
    "Scaling",
    "predictions",
    "scaling",
    "standardising",
    "study_of",
    "task_of",
)

BATCH = 512


@dataclass(frozen=True, eq=False)
class Predictions:
    """Predictions for rows.

    Args:
        rows: names of the rows.
        task: name of the task.
        classes: names of the N classes, in the order of the outputs.
        probabilities: (rows, classes).

    >>> import torch
    >>> from cl_moe.streams.rows import Rows
    >>> rows = Rows(torch.zeros(2, 3), ["0", "1"], labels=["b", "b"])
    >>> found = Predictions(rows, "toy", ["a", "b"], torch.tensor([[0.75, 0.25], [0.5, 0.5]]))
    >>> print(found.table(), found.accuracy())
    row,task,prediction,probability,probability_a,probability_b
    0,toy,a,0.75,0.75,0.25
    1,toy,a,0.5,0.5,0.5
    0.0
    """

    rows: Rows
    task: str
    classes: Sequence[str]
    probabilities: Tensor

    def table(self) -> str:
        """Return a CSV table: row (or file), task, prediction, probability, and one a class."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        head = (self.rows.title, "task", "prediction", "probability")
        writer.writerow([*head, *(f"probability_{name}" for name in self.classes)])
        for name, values in zip(self.rows.names, self.probabilities.tolist(), strict=True):
            best = max(range(len(values)), key=values.__getitem__)
            shown = [f"{value:.6g}" for value in values]
            writer.writerow([name, self.task, self.classes[best], shown[best], *shown])
        return text.getvalue()

    def accuracy(self) -> float | None:
        """Return the share of rows, 0 to 1, that are predicted as labelled; None without labels.

        Raises:
            InputError: a label is no class of the task.
        """
        labels = self.rows.labels
        if labels is None:
            return None
        known = list(self.classes)
        numbers = [str(k) for k in range(len(known))]
        if not any(name.isdecimal() for name in known) and set(labels) <= set(numbers):
            known = numbers
        unknown = sorted(set(labels) - set(known))
        if unknown:
            raise InputError(
                f"label '{unknown[0]}' is not a class of task '{self.task}', whose classes are "
                f"{', '.join(self.classes)}; correct it, or remove the labels"
            )
        found = self.probabilities.argmax(1).tolist()
        right = sum(known[k] == label for k, label in zip(found, labels, strict=True))
        return float(right / len(found))


@dataclass(frozen=True, eq=False)
class Scaling:
    """The standardisation of columns by a source of tables.

    Args:
        features: the columns, in order.
        labels: the columns of labels or targets.
        train: the training rows (N, D), as they are in the file.
    """

    features: tuple[str, ...]
    labels: tuple[str, ...]
    train: Tensor

    def rows(self, rows: Rows) -> Rows:
        """Return standardised rows."""
        from cl_moe.streams.scaling import standardised

        _, x = standardised(self.train, rows.x.flatten(1))
        return replace(rows, x=x.view(rows.x.shape))


def task_of(model: TaskModel, wanted: str | None) -> int:
    """Return a task's label, given its name or label; None: the only one that there is.

    Raises:
        InputError: no such task, or several to choose from; with all of them.
    """
    names = {task: _name(model, task) for task in model.network.tasks}
    listed = ", ".join(f"{task} '{name}'" for task, name in names.items())
    if wanted is None:
        if len(names) == 1 or (names and model.one_head):
            return next(iter(names))
        raise InputError(f"--task: say which task the rows belong to; known: {listed or 'none'}")
    for task, name in names.items():
        if wanted == name:
            return task
    if wanted.isdecimal() and int(wanted) in names:
        return int(wanted)
    raise InputError(f"--task: the model knows no task '{wanted}'; known: {listed or 'none'}")


def predictions(model: TaskModel, rows: Rows, task: int) -> Predictions:
    """Return a model's predictions for rows of a task.

    Raises:
        InputError: the network cannot take such rows.
    """
    import torch

    model.eval()
    try:
        with torch.no_grad():
            logits = torch.cat([model(part, task) for part in rows.x.split(BATCH)])
    except (RuntimeError, ValueError) as error:
        raise InputError(
            f"the model cannot answer rows of shape {tuple(rows.x.shape[1:])} ({error}); give rows "
            "like those that it learned"
        ) from error
    given = model.tasks_info.get(task, {}).get("classes", ())
    width = logits.shape[1]
    classes = list(given) if len(given) == width else [str(k) for k in range(width)]
    return Predictions(rows, _name(model, task), classes, logits.double().softmax(1))


def study_of(model: Path) -> Path | None:
    """Return the folder of the study that a path is, or is a model of; None: of none."""
    places = [model, *model.absolute().parents[3:4]]
    return next((place for place in places if (place / "study.json").is_file()), None)


def standardising(study: Path) -> list[str]:
    """Return the names of a study's sources that standardise the columns of a table."""
    return [
        name
        for name, source in _sources(study).items()
        if source.get("type") == "csv" and source.get("parameters", {}).get("standardise", True)
    ]


def scaling(study: Path, name: str) -> Scaling:
    """Return the scale of a study's source: that of its training rows, which are read again.

    Raises:
        InputError: no such source, it has no scale, or its file cannot be read.
    """
    from cl_moe.streams.rows import columns_of
    from cl_moe.streams.sources.base import find_path
    from cl_moe.streams.sources.csv import Csv

    known = standardising(study)
    if name not in known:
        words = did_you_mean(name, known) if known else "it has none"
        raise InputError(
            f"--source: '{name}' is not a source of {study} that standardises columns; {words}"
        )
    parameters = _sources(study)[name]["parameters"].items()
    given: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in parameters}
    source = Csv(**given)
    if reason := source.available(None):
        raise InputError(f"--source {name}: {reason}")
    data = replace(source, standardise=False).load(seed=0, data_dir=None)
    header = columns_of(find_path(source.path, None))
    features = source.features or tuple(column for column in header if column not in source.targets)
    return Scaling(features, source.targets, data.train_x)


def _sources(study: Path) -> dict[str, Any]:
    found: dict[str, Any] = read_description(study / "study.json")["spec"].get("sources", {})
    return found


def _name(model: TaskModel, task: int) -> str:
    return str(model.tasks_info.get(task, {}).get("name", f"task {task}"))
