"""Sizes of a scenario's tasks, without building these."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from cl_moe.streams.building import Recipe, recipes_of
from cl_moe.streams.generate import drawn_tasks
from cl_moe.streams.operators.per_class import PerClass
from cl_moe.streams.operators.subset import Subset
from cl_moe.streams.sources._loading import load_once
from cl_moe.streams.sources.synthetic import Synthetic
from cl_moe.streams.spec import TaskSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.tables import ScenarioTables

__all__ = ("TaskSize", "scenario_sizes", "stream_sizes")


@dataclass(frozen=True)
class TaskSize:
    """A number of tasks of one size.

    Args:
        train: training rows.
        test: test rows.
        classes: number of classes.
        shape: of a row.
        count: number of tasks of this size.
        probe: whether they are unseen tasks, learned from the final state.
    """

    train: int
    test: int
    classes: int
    shape: tuple[int, ...]
    count: int = 1
    probe: bool = False


def stream_sizes(stream: TaskStream) -> list[TaskSize]:
    """Return the sizes of an existing stream.

    >>> import torch
    >>> from cl_moe.streams.stream import TaskStream
    >>> from cl_moe.streams.task import Task
    >>> data = (torch.zeros(4, 3), [0, 1, 0, 1])
    >>> stream_sizes(TaskStream([Task("toy", data, data, ("a", "b"))]))
    [TaskSize(train=4, test=4, classes=2, shape=(3,), count=1, probe=False)]
    """
    return [
        TaskSize(task.n_train, task.n_test, task.n_classes, tuple(stream.shape), probe=probe)
        for tasks, probe in ((stream, False), (stream.probes, True))
        for task in tasks
    ]


def scenario_sizes(spec: ScenarioTables, data_dir: Path | None = None) -> list[TaskSize]:
    """Return the sizes of a resolved scenario's tasks: its tables say them, and labels of its data.

    Each data set is read once for its labels, except for the synthetic source; no task is made, so
    that a million generated tasks take seconds. With randomly drawn classes, a task has their mean
    size.

    Raises:
        InputError: data are missing.

    >>> from cl_moe.streams.scenario import load_scenario
    >>> sizes = scenario_sizes(load_scenario("digits_quick").resolve())
    >>> [(size.train, size.test) for size in sizes[2:]]
    [(300, 200), (25, 180), (25, 179)]
    """
    probes = spec.probe_specs()
    recipes = recipes_of(spec, [*spec.tasks, *probes])
    found = [_size(recipes[task.name], spec, data_dir) for task in spec.tasks]
    if spec.generate is not None:
        found += _generated(spec, data_dir)
    return found + [_size(recipes[task.name], spec, data_dir, probe=True) for task in probes]


def _generated(spec: ScenarioTables, data_dir: Path | None) -> list[TaskSize]:
    """Return a size for each source and number of examples that is drawn."""
    generate = spec.generate
    assert generate is not None
    drawn = Counter((task.source, task.per_class) for task in drawn_tasks(generate))
    found = []
    for number, ((source, size), count) in enumerate(drawn.items()):
        task = TaskSpec(
            name=f"{number}",
            source=source,
            classes=generate.classes,
            per_class=size,
            test_per_class=generate.test_per_class,
        )
        recipe = recipes_of(spec, [task])[task.name]
        found.append(_size(recipe, spec, data_dir, count=count))
    return found


def _size(
    recipe: Recipe, spec: ScenarioTables, data_dir: Path | None, count: int = 1, probe: bool = False
) -> TaskSize:
    train, test, names, shape = _data(recipe, data_dir)
    chosen: Sequence[int | str] | int | None = recipe.classes
    sizes = [(recipe.per_class, recipe.test_per_class)]
    for operator, _, _ in recipe.operators:
        if isinstance(operator, Subset):
            # its names and positions are those of the classes before it, so only their number tells
            chosen = operator.classes if chosen is None else _number(operator.classes)
        elif isinstance(operator, PerClass):
            sizes.append((operator.n, operator.test))
    least = [
        min((n for n in column if n is not None), default=None)
        for column in zip(*sizes, strict=True)
    ]
    classes = len(names) if chosen is None else _number(chosen)
    rows = [_rows(y, names, chosen, most) for y, most in zip((train, test), least, strict=True)]
    shape = shape if spec.stream.shape is None else tuple(spec.stream.shape)
    return TaskSize(rows[0], rows[1], classes, shape, count, probe)


def _data(
    recipe: Recipe, data_dir: Path | None
) -> tuple[list[int], list[int], Sequence[str], tuple[int, ...]]:
    """Return the examples of each class for training and test, the classes, a row's shape."""
    source, place = recipe.source, f"sources.{recipe.source_name}"
    if isinstance(source, Synthetic):
        side = math.isqrt(source.dim)
        shape: tuple[int, ...] = (1, side, side) if source.image else (source.dim,)
        names = [str(k) for k in range(source.classes)]
        train, test = ([n] * len(names) for n in (source.train_per_class, source.test_per_class))
        return train, test, names, shape
    data = load_once(source, seed=0, data_dir=data_dir, place=place)
    shape = tuple(data.train_x.shape[1:])
    if not data.classifies:  # drawn as if all examples were of one class
        return [len(data.train_y)], [len(data.test_y)], data.classes, shape
    train, test = (_counts(y, data.classes) for y in (data.train_y, data.test_y))
    return train, test, data.classes, shape


def _counts(y: Tensor, classes: Sequence[str]) -> list[int]:
    return [int(n) for n in y.bincount(minlength=len(classes))]


def _rows(
    counts: Sequence[int],
    names: Sequence[str],
    chosen: Sequence[int | str] | int | None,
    most: int | None,
) -> int:
    """Return how many rows a task has with the classes that are chosen, ``most`` of each."""
    kept = [n if most is None else min(n, most) for n in counts]
    if chosen is None:
        return sum(kept)
    if isinstance(chosen, int):
        return round(chosen * sum(kept) / len(kept))
    at = [list(names).index(c) if isinstance(c, str) else c for c in chosen]
    return sum(kept[k] for k in at)


def _number(classes: Sequence[int | str] | int) -> int:
    return classes if isinstance(classes, int) else len(classes)
