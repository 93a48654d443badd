"""Checks of what a strategy or a model is given: experiences, rows and task labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from avalanche.benchmarks import CLStream, OnlineCLExperience
from torch import Tensor

from cl_moe.errors import InputError, shortened

__all__ = ("require_experiences", "require_labels", "require_rows")


def require_experiences(given: Any, place: str) -> None:
    """Raise an InputError unless ``given`` is an experience, or a list or a stream of them.

    >>> require_experiences(None, "train")
    Traceback (most recent call last):
    ...
    cl_moe.errors.InputError: train: None is not an experience; give those of \
stream.to_benchmark().train_stream
    """
    if isinstance(given, (CLStream, Iterator)):  # whose experiences are made as they are needed
        return
    ones = given if isinstance(given, (list, tuple)) else [given]
    if not ones or not all(hasattr(one, "dataset") for one in ones):
        raise InputError(
            f"{place}: {shortened(given)} is not an experience; give those of "
            "stream.to_benchmark().train_stream"
        )


def require_labels(experience: Any) -> None:
    """Raise an error where a benchmark of several experiences has no task labels.

    Without task labels Avalanche gives every experience the label 0, so that all would be one task,
    which forgets. A label that recurs beside other labels is a recurring task.

    Args:
        experience: an experience of the benchmark; without a benchmark nothing is checked.

    Raises:
        InputError: all experiences of its stream have one label, and there are several.
    """
    if isinstance(experience, OnlineCLExperience):
        experience = experience.origin_experience
    own: set[int] | None = None
    number = 0
    for found in _labels(experience):
        own = found if own is None else own
        number += 1
        if found != own or len(found) != 1:
            return
    if own is not None and number > 1:
        raise InputError(
            f"benchmark: all of its {number} experiences have task label {min(own)}, so that they "
            "would be one task; create it with return_task_id=True, or train on "
            "TaskStream.from_benchmark(benchmark).to_benchmark()"
        )


def _labels(experience: Any) -> Iterator[set[int]]:
    """Yield the task labels of each experience of an experience's stream."""
    stream = getattr(experience, "_origin_stream", None)
    definitions = getattr(getattr(stream, "benchmark", None), "stream_definitions", {})
    if stream is not None and stream.name in definitions:
        yield from map(set, definitions[stream.name].exps_task_labels)
    elif isinstance(stream, Sequence):
        yield from (set(one.dataset.targets_task_labels.uniques) for one in stream)


def require_rows(x: object, labels: object) -> None:
    """Raise an InputError unless x are rows, and labels are one for each or one for all."""
    problems = []
    if not isinstance(x, Tensor) or x.ndim < 2:
        problems.append(f"x: {_described(x)} is not a tensor of rows (B, ...)")
    if isinstance(labels, Tensor):
        rows = len(x) if isinstance(x, Tensor) and x.ndim else 0
        if labels.shape != (rows,) or labels.is_floating_point():
            problems.append(
                f"task_labels: {_described(labels)} for {rows} rows; give one whole number per row"
            )
    elif labels is not None and (not isinstance(labels, int) or isinstance(labels, bool)):
        problems.append(f"task_labels: {_described(labels)}; give a whole number, or a tensor (B,)")
    if problems:
        raise InputError(problems)


def _described(value: object) -> str:
    if isinstance(value, Tensor):
        return f"a tensor of shape {tuple(value.shape)} and type {value.dtype}"
    return f"a value of type {type(value).__name__}"
