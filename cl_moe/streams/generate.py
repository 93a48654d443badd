"""Expansion of a scenario to one table per task: generated streams, shuffles, probes."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import Any, NamedTuple

from pydantic import Field, model_validator

from cl_moe.errors import shortened
from cl_moe.parameters import LARGEST
from cl_moe.seeding import derive
from cl_moe.streams.schema import MOST, Name, Spec
from cl_moe.streams.spec import OperatorSpec, ProbeSpec, StreamSpec, TaskSpec

__all__ = (
    "Drawn",
    "GenerateSpec",
    "PhaseSpec",
    "drawn_tasks",
    "expand_probes",
    "expand_tasks",
    "generated_tasks",
)

MOST_TASKS = 10**6
"""Most tasks of a stream that is drawn."""


class PhaseSpec(Spec):
    """A phase of a generated stream: examples per class, and the share of each size."""

    tasks: int = Field(ge=1, le=MOST_TASKS)
    per_class: list[int] = Field(min_length=1)
    shares: list[float] | None = None

    @model_validator(mode="after")
    def _shares_match(self) -> PhaseSpec:
        if min(self.per_class) < 1 or max(self.per_class) > MOST:
            raise ValueError(
                f"per_class: {shortened(self.per_class)} holds a size outside 1 to {MOST}"
            )
        if self.shares is not None and (
            len(self.shares) != len(self.per_class)
            or min(self.shares) < 0
            or abs(sum(self.shares) - 1) > 1e-6
        ):
            raise ValueError(
                f"shares: {shortened(self.shares)}; give one share for each of per_class, with "
                "sum 1"
            )
        return self


class GenerateSpec(Spec):
    """A long stream drawn at random from sources, phase after phase (CTrL's S_long).

    The draw has its own seed: every run of a study has the same tasks in the same order; the
    study's seeds change examples and classes.

    Args:
        sources: the sources of tasks, drawn uniformly.
        classes: classes of a task, drawn at random.
        phases: numbers of tasks and their sizes.
        test_per_class: test examples per class.
        recurring: probability that a task repeats an earlier one, with other examples.
        seed: of the draw.
    """

    sources: list[Name] = Field(min_length=1)
    classes: int = Field(default=5, ge=2, le=MOST)
    phases: list[PhaseSpec] = Field(min_length=1)
    test_per_class: int | None = Field(default=None, ge=1, le=MOST)
    recurring: float = Field(default=0.0, ge=0, lt=1)
    seed: int = Field(default=0, ge=-LARGEST, le=LARGEST)

    @model_validator(mode="after")
    def _not_too_many(self) -> GenerateSpec:
        total = sum(phase.tasks for phase in self.phases)
        if total > MOST_TASKS:
            raise ValueError(f"phases: {total} tasks are too many; give {MOST_TASKS} or less")
        return self


def expand_tasks(
    listed: Iterable[TaskSpec], generate: GenerateSpec | None, stream: StreamSpec
) -> list[TaskSpec]:
    """Return the listed tasks and then the generated ones, shuffled where the stream says so."""
    tasks = [*listed, *(generated_tasks(generate) if generate else [])]
    if stream.order == "shuffled":
        random.Random(derive(stream.order_seed, "order")).shuffle(tasks)
    return tasks


def generated_tasks(generate: GenerateSpec) -> list[TaskSpec]:
    """Return the tasks of a long random stream: source uniform, size by the phase's shares.

    The largest size of all phases makes a task "rich", any other one "low_resource"; a task that
    comes back is "recurring".

    >>> phase = PhaseSpec(tasks=2, per_class=[5, 50], shares=[0.0, 1.0])
    >>> [t.name for t in generated_tasks(GenerateSpec(sources=["digits"], phases=[phase]))]
    ['000-digits', '001-digits']
    """
    most = max(size for phase in generate.phases for size in phase.per_class)
    return [_task(drawn, generate, most) for drawn in drawn_tasks(generate)]


def _task(drawn: Drawn, generate: GenerateSpec, most: int) -> TaskSpec:
    about: dict[str, Any] = {
        "name": drawn.name,
        "per_class": drawn.per_class,
        "test_per_class": generate.test_per_class,
    }
    if drawn.again is not None:
        repeat = [OperatorSpec(operator="repeat")]
        return TaskSpec(from_=drawn.again, operators=repeat, group="recurring", **about)
    low = drawn.per_class < most
    return TaskSpec(
        source=drawn.source,
        classes=generate.classes,
        group="low_resource" if low else "rich",
        relation="low resource" if low else None,
        **about,
    )


class Drawn(NamedTuple):
    """The random choices of a generated task.

    Attributes:
        name: of the task.
        source: the source of its data.
        per_class: examples per class.
        again: the earlier task that it repeats, if any.
    """

    name: str
    source: str
    per_class: int
    again: str | None = None


def drawn_tasks(generate: GenerateSpec) -> list[Drawn]:
    """Return the random choices of each generated task.

    >>> phase = PhaseSpec(tasks=2, per_class=[5])
    >>> tasks = drawn_tasks(GenerateSpec(sources=["digits"], phases=[phase]))
    >>> [(task.name, task.source, task.per_class) for task in tasks]
    [('000-digits', 'digits', 5), ('001-digits', 'digits', 5)]
    """
    draw = random.Random(derive(generate.seed, "generate"))
    sizes = [
        draw.choices(phase.per_class, phase.shares)[0]
        for phase in generate.phases
        for _ in range(phase.tasks)
    ]
    tasks: list[Drawn] = []
    firsts: list[Drawn] = []
    for position, size in enumerate(sizes):
        if firsts and generate.recurring and draw.random() < generate.recurring:
            first = draw.choice(firsts)
            again = Drawn(f"{position:03d}-{first.name}", first.source, size, first.name)
            tasks.append(again)
            continue
        source = draw.choice(generate.sources)
        firsts.append(Drawn(f"{position:03d}-{source}", source, size))
        tasks.append(firsts[-1])
    return tasks


def expand_probes(probes: Iterable[ProbeSpec]) -> list[TaskSpec]:
    """Return one task a probe and size; of several sizes, each is named ``probe@n``.

    >>> probe = ProbeSpec(name="new", source="digits", per_class=[1, 2])
    >>> [task.name for task in expand_probes([probe])]
    ['new@1', 'new@2']
    """
    tasks = []
    for probe in probes:
        values = probe.model_dump(by_alias=True)
        if isinstance(probe.per_class, list):
            tasks += [
                TaskSpec.model_validate({**values, "name": f"{probe.name}@{n}", "per_class": n})
                for n in probe.per_class
            ]
        else:
            tasks.append(TaskSpec.model_validate(values))
    return tasks
