"""From what a scenario says in brief to one table a task: long streams, shuffles, probes."""

from __future__ import annotations

import random
from collections.abc import Iterable
from typing import TYPE_CHECKING

from cl_moe.seeding import derive
from cl_moe.streams.spec import GenerateSpec, ProbeSpec, TaskSpec

if TYPE_CHECKING:
    from cl_moe.streams.scenario import ScenarioSpec

__all__ = ("drawn_tasks", "expand_probes", "expand_tasks", "generated_tasks")


def expand_tasks(spec: ScenarioSpec) -> list[TaskSpec]:
    """Return the listed tasks and then the generated ones, shuffled where the stream says so."""
    tasks = [*spec.tasks, *(generated_tasks(spec.generate) if spec.generate else [])]
    if spec.stream.order == "shuffled":
        random.Random(derive(spec.stream.order_seed, "order")).shuffle(tasks)
    return tasks


def generated_tasks(generate: GenerateSpec) -> list[TaskSpec]:
    """Return the tasks of a long random stream: source uniform, size by the phase's shares.

    The largest size of all phases makes a task "rich", any other one "low_resource".

    >>> from cl_moe.streams.spec import PhaseSpec
    >>> phase = PhaseSpec(tasks=2, per_class=[5, 50], shares=[0.0, 1.0])
    >>> [t.name for t in generated_tasks(GenerateSpec(sources=["digits"], phases=[phase]))]
    ['000-digits', '001-digits']
    """
    most = max(size for phase in generate.phases for size in phase.per_class)
    return [
        TaskSpec(
            name=name,
            source=source,
            classes=generate.classes,
            per_class=size,
            test_per_class=generate.test_per_class,
            group="low_resource" if size < most else "rich",
            relation="low resource" if size < most else None,
        )
        for name, source, size in drawn_tasks(generate)
    ]


def drawn_tasks(generate: GenerateSpec) -> list[tuple[str, str, int]]:
    """Return name, source and examples a class of each generated task: all that is random of it.

    >>> from cl_moe.streams.spec import PhaseSpec
    >>> phase = PhaseSpec(tasks=2, per_class=[5])
    >>> drawn_tasks(GenerateSpec(sources=["digits"], phases=[phase]))
    [('000-digits', 'digits', 5), ('001-digits', 'digits', 5)]
    """
    draw = random.Random(derive(generate.seed, "generate"))
    sizes = [
        draw.choices(phase.per_class, phase.shares)[0]
        for phase in generate.phases
        for _ in range(phase.tasks)
    ]
    sources = [draw.choice(generate.sources) for _ in sizes]
    return [
        (f"{position:03d}-{source}", source, size)
        for position, (source, size) in enumerate(zip(sources, sizes, strict=True))
    ]


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
