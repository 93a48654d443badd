"""Check that experiences of a benchmark have distinct task labels."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from avalanche.benchmarks import OnlineCLExperience

from cl_moe.errors import InputError

__all__ = ("require_labels",)


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
