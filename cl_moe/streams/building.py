"""Construction of a scenario's stream: resolve sources, follow recipes, draw examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeVar

import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from cl_moe.errors import InputError, enough_memory, one_per_place
from cl_moe.references import NotImportedError
from cl_moe.seeding import derive, generator
from cl_moe.streams.datasets import draw_per_class
from cl_moe.streams.generate import drawn_tasks
from cl_moe.streams.operators.base import Operator, make_operator
from cl_moe.streams.operators.subset import choose_classes
from cl_moe.streams.shapes import fit, to_float
from cl_moe.streams.sources._loading import load_once, make_source
from cl_moe.streams.sources.base import Source, SourceData
from cl_moe.streams.sources.synthetic import Synthetic
from cl_moe.streams.spec import SourceSpec, TaskSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.tables import ScenarioTables
from cl_moe.streams.task import Task

__all__ = ("Recipe", "build_stream", "recipes_of", "resolve_sources")


Scenario = TypeVar("Scenario", bound=ScenarioTables)


@dataclass(frozen=True)
class Recipe:
    """The recipe of a task; ``from`` inherits the recipe of an origin."""

    source_name: str
    source: Source
    classes: Sequence[int | str] | int | None
    classes_of: str  # the task that chose the classes: a random choice is its own
    operators: tuple[tuple[Operator, str, int], ...]  # each with the task that brought it
    per_class: int | None
    test_per_class: int | None


def resolve_sources(spec: Scenario, data_dir: Path | None) -> Scenario:
    """Return the scenario with every used source resolved; see :meth:`ScenarioSpec.resolve`."""
    used = {task.source for task in (*spec.tasks, *spec.probe_specs())}
    used |= {task.source for task in (drawn_tasks(spec.generate) if spec.generate else [])}
    problems: list[str] = []
    sources = {}
    for name, source in spec.sources.items():
        sources[name] = source
        if name in used:
            chosen, reasons = _available(source, f"sources.{name}", data_dir)
            sources[name] = chosen or source
            problems += [] if chosen else reasons
    if problems:
        raise InputError(problems)
    return spec.model_copy(update={"sources": sources})


def _available(
    source: SourceSpec, place: str, data_dir: Path | None
) -> tuple[SourceSpec | None, list[str]]:
    reasons = []
    for choice in source.any_of or [source]:
        try:
            reason = make_source(choice, place).available(data_dir)
        except NotImportedError:  # it is taken for available
            reason = None
        if reason is None:
            return choice, []
        reasons.append(f"{place}: {reason}")
    return None, reasons


def build_stream(spec: ScenarioTables, seed: int, data_dir: Path | None) -> TaskStream:
    """Return the stream of a scenario; see :meth:`ScenarioSpec.build_stream`."""
    spec = resolve_sources(spec, data_dir)
    listed, unseen = spec.task_specs(), spec.probe_specs()
    recipes = recipes_of(spec, [*spec.tasks, *listed, *unseen])
    draws = _Draws(seed, spec.stream.shape)
    made = [
        _attempt(task.name, lambda task=task: _make(task, recipes, seed, data_dir, draws, spec))  # type: ignore[misc]
        for task in (*listed, *unseen)
    ]
    problems = [
        problem for task in made if isinstance(task, InputError) for problem in task.problems
    ]
    if problems:
        raise InputError(one_per_place(problems))
    tasks = [task for task in made if isinstance(task, Task)]
    return TaskStream(tasks[: len(listed)], spec.name, tasks[len(listed) :])


def _attempt(name: str, make: Callable[[], Task]) -> Task | InputError:
    """Return the task, or the error: one task's problems must not hide another's."""
    try:
        with enough_memory(f"task '{name}'", "give it fewer examples or smaller inputs"):
            return make()
    except InputError as error:
        return error


def recipes_of(spec: ScenarioTables, tasks: Sequence[TaskSpec]) -> dict[str, Recipe]:
    """Return each task's recipe; origins come first in ``tasks``, which may name a task twice."""
    recipes: dict[str, Recipe] = {}
    variants: dict[tuple[str, str], Synthetic] = {}
    for task in tasks:
        if task.name in recipes:
            continue
        own = tuple(
            (make_operator(operator, task.name), draw_name(task.name), position)
            for position, operator in enumerate(task.operators)
        )
        if task.from_ is not None:
            origin = recipes[task.from_]
            source_name, source, before = origin.source_name, origin.source, origin.operators
            classes, classes_of = origin.classes, origin.classes_of
        else:
            assert task.source is not None
            source_name, before, classes, classes_of = task.source, (), None, task.name
            source = make_source(spec.sources[task.source], f"sources.{task.source}")
            if isinstance(source, Synthetic):
                source = _variant(task, source, variants)
        if task.classes is not None:
            classes, classes_of = task.classes, task.name
        origin_sizes = recipes[task.from_] if task.from_ else None
        recipes[task.name] = Recipe(
            source_name,
            source,
            classes,
            draw_name(classes_of),
            (*before, *own),
            task.per_class or (origin_sizes.per_class if origin_sizes else None),
            task.test_per_class or (origin_sizes.test_per_class if origin_sizes else None),
        )
    return recipes


def _variant(
    task: TaskSpec, source: Synthetic, variants: dict[tuple[str, str], Synthetic]
) -> Synthetic:
    """Return the task's variant of the synthetic source, made when it is first named."""
    assert task.source is not None
    key = (task.source, task.variant or draw_name(task.name))
    if key not in variants:
        if task.related_to is None:
            variants[key] = source.variant(key[1])
        else:
            origin = variants[task.source, task.related_to]
            variants[key] = origin.variant(key[1], task.relatedness)
    return variants[key]


def draw_name(name: str) -> str:
    """Return the name that seeds a task's draws: that of a probe, without its size.

    >>> draw_name("new@16")
    'new'
    """
    return name.rpartition("@")[0] or name


def _make(
    spec: TaskSpec,
    recipes: Mapping[str, Recipe],
    seed: int,
    data_dir: Path | None,
    draws: _Draws,
    scenario: ScenarioTables,
) -> Task:
    recipe, place = recipes[spec.name], f"task '{spec.name}'"
    data = load_once(
        recipe.source, seed=seed, data_dir=data_dir, place=f"sources.{recipe.source_name}"
    )
    if recipe.classes is not None and not data.classifies:
        raise InputError(
            f"{place}: classes are chosen, but source '{recipe.source_name}' is for "
            f"{data.objective}, which has none; remove classes"
        )
    classes = choose_classes(
        recipe.classes, data.classes, place, derive(seed, "classes", recipe.classes_of)
    )
    splits = draws(data, classes, recipe, spec.name, place)
    names = [data.classes[label] for label in classes]
    train, test = splits["train"], splits["test"]
    task = Task(spec.name, train, test, names, spec.group, objective=data.objective)
    for operator, owner, position in recipe.operators:
        task = operator(task, derive(seed, "operator", owner, position))
    origin, relation = _relation(spec, recipes, scenario)
    return replace(
        task,
        name=spec.name,
        group=spec.group,
        derived_from=origin,
        relation=spec.relation or relation,
    )


class _Draws:
    """Draws the examples of tasks, by split, as float32 inputs of one shape.

    Those of the last task are kept: tasks that are derived from one task follow one another, and
    share its examples unless their number is limited, when each task draws its own.
    """

    def __init__(self, seed: int, shape: Sequence[int] | None) -> None:
        self._seed, self._shape = seed, shape
        self._last: tuple[SourceData, tuple[object, ...]] | None = None
        self._splits: dict[str, TensorDataset] = {}

    def __call__(
        self, data: SourceData, classes: Sequence[int], recipe: Recipe, name: str, place: str
    ) -> dict[str, TensorDataset]:
        sizes = {"train": recipe.per_class, "test": recipe.test_per_class}
        own = draw_name(name) if any(size is not None for size in sizes.values()) else None
        key = (*classes, own, *sizes.values())
        if self._last is None or self._last[0] is not data or self._last[1] != key:
            self._splits = {}  # free them first
            self._splits = {
                split: self._split(split, data, classes, size, name, place)
                for split, size in sizes.items()
            }
            self._last = (data, key)
        return self._splits

    def _split(
        self,
        split: str,
        data: SourceData,
        classes: Sequence[int],
        size: int | None,
        name: str,
        place: str,
    ) -> TensorDataset:
        x, y = (data.train_x, data.train_y) if split == "train" else (data.test_x, data.test_y)
        draw = generator(self._seed, split, draw_name(name))
        rows, labels = _draw(y, classes if data.classifies else None, size, draw)
        whole = len(rows) == len(x) and x.dtype == torch.uint8  # its conversion is a copy anyway
        inputs = to_float(x if whole else x[rows])
        return TensorDataset(
            fit(inputs, self._shape, place) if self._shape is not None else inputs, labels
        )


def _draw(
    y: Tensor, classes: Sequence[int] | None, size: int | None, draw: torch.Generator
) -> tuple[Tensor, Tensor]:
    """Return rows of at most ``size`` examples of each class, and their labels from 0.

    Without classes, at most ``size`` examples in total, and their targets.
    """
    if classes is None:
        rows = draw_per_class(torch.zeros(len(y)), size, draw)
        return rows, y[rows]
    new = torch.full((int(y.max()) + 1,), -1)
    wanted = torch.tensor([label for label in classes if label < len(new)])
    new[wanted] = torch.tensor([k for k, label in enumerate(classes) if label < len(new)])
    members = (new[y] >= 0).nonzero().flatten()
    rows = members[draw_per_class(new[y[members]], size, draw)]
    return rows, new[y[rows]]


def _relation(
    spec: TaskSpec, recipes: Mapping[str, Recipe], scenario: ScenarioTables
) -> tuple[str | None, str | None]:
    """Return the origin and the relation of a task, as far as given in its table."""
    words = [make_operator(o, spec.name).relation for o in spec.operators]
    if spec.from_ is None:
        if spec.related_to is not None:
            words.insert(0, f"relatedness {spec.relatedness:g}")
            return _first_of(spec.related_to, spec, scenario), ", ".join(words)
        return (spec.source if words else None), ", ".join(dict.fromkeys(words)) or None
    origin = recipes[spec.from_]
    if spec.classes is not None and spec.classes != origin.classes:
        words.append("new classes")
    if spec.per_class and (origin.per_class is None or spec.per_class < origin.per_class):
        words.append("low resource")
    return spec.from_, ", ".join(dict.fromkeys(words)) or "recurring"


def _first_of(variant: str, spec: TaskSpec, scenario: ScenarioTables) -> str:
    """Return the task that brought a variant of the same source."""
    return next(
        task.name
        for task in scenario.tasks
        if task.source == spec.source and (task.variant or task.name) == variant
    )
