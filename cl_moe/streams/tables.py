"""All tables of a scenario as one model."""

from __future__ import annotations

from pydantic import Field, field_validator

from cl_moe.streams.generate import GenerateSpec, expand_probes, expand_tasks
from cl_moe.streams.schema import FolderName, Spec
from cl_moe.streams.spec import (
    MethodSpec,
    NetworkSpec,
    ProbeSpec,
    SourceSpec,
    StreamSpec,
    TaskSpec,
    TrainingSpec,
)

__all__ = ("MOST_SEEDS", "ScenarioTables")

MOST_SEEDS = 10_000
DEFAULT_METHODS = ("dense", "ewc", "replay", "single_task", "joint", "moe")


class ScenarioTables(Spec):
    """A study: sources, the tasks made from them, the network, the budget and the methods.

    To be made as a :class:`cl_moe.streams.scenario.ScenarioSpec`, which is checked.
    """

    name: FolderName
    title: str = ""
    description: str = ""
    seeds: int = Field(default=5, ge=1, le=MOST_SEEDS)
    baseline: str | None = None
    sources: dict[str, SourceSpec] = Field(default={})
    tasks: list[TaskSpec] = Field(default=[])
    generate: GenerateSpec | None = None
    probes: list[ProbeSpec] = Field(default=[])
    stream: StreamSpec = Field(default=StreamSpec())
    network: NetworkSpec = Field(default=NetworkSpec())
    training: TrainingSpec = Field(default=TrainingSpec())
    methods: list[MethodSpec] = Field(
        default=[MethodSpec(name=name, type=name) for name in DEFAULT_METHODS]
    )

    @field_validator("name")
    @classmethod
    def _one_folder(cls, name: str) -> str:
        if name.startswith(".") or "/" in name or "\\" in name:
            raise ValueError(f"'{name}' cannot name the folder of results; remove / \\ and dots")
        return name

    def task_specs(self) -> list[TaskSpec]:
        """Return the tasks in the order they are learned, generated ones included."""
        return expand_tasks(self.tasks, self.generate, self.stream)

    def probe_specs(self) -> list[TaskSpec]:
        """Return the unseen tasks, one per size."""
        return expand_probes(self.probes)
