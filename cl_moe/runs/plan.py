"""The plan of a study, its jobs, and the results of runs."""

from __future__ import annotations

import gc
import itertools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cl_moe.streams.scenario import NetworkSpec, ScenarioSpec, TrainingSpec
    from cl_moe.streams.stream import TaskStream

__all__ = (
    "CheckpointPlan",
    "Failure",
    "Job",
    "MethodPlan",
    "Progress",
    "ProgressCallback",
    "RunResult",
    "Streams",
    "StudyPlan",
)


@dataclass(frozen=True)
class MethodPlan:
    """A method of a study.

    Args:
        name: its label, unique in the study.
        type: a catalogue name, or ``package.module:Class``.
        parameters: what it is called with.
        grid: parameter name -> values to choose from on held-out training data.

    >>> ewc = MethodPlan("ewc", "ewc", {"mode": "online"}, {"strength": [1.0, 10.0]})
    >>> ewc.settings()
    [{'strength': 1.0}, {'strength': 10.0}]
    >>> ewc.with_setting({"strength": 10.0}).parameters
    {'mode': 'online', 'strength': 10.0}
    """

    name: str
    type: str
    parameters: Mapping[str, Any] = field(default_factory=dict)
    grid: Mapping[str, Sequence[Any]] = field(default_factory=dict)

    def settings(self) -> list[dict[str, Any]]:
        """Return every combination of the grid's values, the last parameter changing fastest."""
        names = list(self.grid)
        return [
            dict(zip(names, values, strict=True))
            for values in (itertools.product(*self.grid.values()) if names else ())
        ]

    def with_setting(self, setting: Mapping[str, Any]) -> MethodPlan:
        """Return this method with a setting of its grid, and without the grid."""
        return replace(self, parameters={**self.parameters, **setting}, grid={})


@dataclass(frozen=True)
class Job:
    """One run: a method (without a grid) and a seed.

    Args:
        method: what learns.
        seed: seeds the stream and the method.
        setting: position in the method's grid; None for a run of the study itself. A job with a
            setting learns from, and is scored on, training data alone.
        after: name of a task. The job learns it alone and then, each from a copy of that state,
            all others of the stream: what the transfer matrix is measured on. None: the stream.

    >>> Job(MethodPlan("dense", "dense"), seed=3).label
    'dense, seed 3'
    >>> Job(MethodPlan("dense", "dense"), seed=3, after="mnist").label
    'dense, seed 3, after mnist'
    """

    method: MethodPlan
    seed: int
    setting: int | None = None
    after: str | None = None

    @property
    def label(self) -> str:
        """The name of this run in messages."""
        tuning = "" if self.setting is None else f", setting {self.setting + 1}"
        after = "" if self.after is None else f", after {self.after}"
        return f"{self.method.name}, seed {self.seed}{tuning}{after}"


@dataclass(frozen=True)
class Progress:
    """Where a run is: learning ``task`` (the first is 0) of ``tasks``, ``epoch`` epochs done.

    ``accuracy`` is the value of the metric ``score`` of the task's objective.

    >>> Progress("dense, seed 0", task=1, tasks=4, name="mnist", epoch=2, epochs=4).fraction
    0.375
    """

    run: str
    task: int
    tasks: int
    name: str
    epoch: int = 0
    epochs: int = 1
    accuracy: float | None = None
    score: str = "accuracy"

    @property
    def fraction(self) -> float:
        """Share of the run that is done, 0 to 1."""
        within = min(self.epoch / self.epochs, 1.0) if self.epochs else 1.0
        return min((self.task + within) / max(self.tasks, 1), 1.0)


ProgressCallback = Callable[[Progress], None]


@dataclass(frozen=True)
class RunResult:
    """The JSON-able result of a run.

    Args:
        rows: dicts with the columns of :data:`cl_moe.runs.folder.columns.ROW_COLUMNS`.
        events: decisions of the method, each with method, seed, task, name, kind, sentence.
        timings: dicts with the columns of :data:`cl_moe.runs.folder.columns.TIMING_COLUMNS`.
        environment: versions and threads of the process that ran it.
        model: folder of the model as it was at the end of the stream, where it is kept; whoever
            writes the run moves it there.
    """

    rows: list[dict[str, Any]]
    events: list[dict[str, Any]]
    timings: list[dict[str, Any]]
    environment: dict[str, Any]
    model: str | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the fields as a dict."""
        return asdict(self)


@dataclass(frozen=True)
class Failure:
    """The reason of a failed run.

    Args:
        problems: an InputError's sentences, or
        traceback: Python's traceback, or the report of a process that ended (``crashed``).
        reason: in one line; by default the first one of ``traceback``.
    """

    traceback: str
    problems: tuple[str, ...] = ()
    crashed: bool = False
    reason: str = ""

    def __post_init__(self) -> None:
        if not self.reason:
            object.__setattr__(self, "reason", self.traceback.strip().split("\n")[0])


@dataclass(frozen=True)
class CheckpointPlan:
    """Where and when unfinished runs write checkpoints.

    Args:
        folder: the study's folder.
        token: name of a file in it, by which a process on another machine recognises the folder.
        steps: number of optimizer steps between checkpoints within a task; None: at the end of
            tasks only.
    """

    folder: Path
    token: str
    steps: int | None = None


@dataclass(frozen=True)
class StudyPlan:
    """Scenario x methods x seeds.

    Args:
        name: of the study.
        source: the scenario (resolved), or a stream that is the same for every seed.
        network: shared by all methods.
        training: shared by all methods.
        methods: in the order in which they are shown.
        seeds: in the order in which they are run.
        baseline: the method that the others are compared with, by name.
        device: a torch device.
        data_dir: where real data are.
        threads: torch threads of a run; results may differ in the last bit between numbers.
        curves: record the test accuracy of the task being learned after epochs 0 to 5.
        notes: what a person should know before it runs, e.g. which data were found.
        pairs: measure pairs of tasks instead of the stream, except for the reference (of type
            ``single_task``).
        models: folder in which runs write the models that are kept; None: none is.
        checkpoints: of unfinished runs; None: none is written.
    """

    name: str
    source: ScenarioSpec | TaskStream
    network: NetworkSpec
    training: TrainingSpec
    methods: tuple[MethodPlan, ...]
    seeds: tuple[int, ...]
    baseline: str | None = None
    device: str = "cpu"
    data_dir: Path | None = None
    threads: int = 1
    curves: bool = True
    notes: tuple[str, ...] = ()
    pairs: bool = False
    models: Path | None = None
    checkpoints: CheckpointPlan | None = None

    def stream(self, seed: int) -> TaskStream:
        """Return the tasks of a seed."""
        from cl_moe.streams.stream import TaskStream

        if isinstance(self.source, TaskStream):
            return self.source
        return self.source.build_stream(seed, self.data_dir)

    def task_names(self) -> list[str]:
        """Return the names of the stream's tasks, the same for every seed."""
        from cl_moe.streams.stream import TaskStream

        if isinstance(self.source, TaskStream):
            return [task.name for task in self.source]
        return [task.name for task in self.source.task_specs()]

    def jobs(self) -> list[Job]:
        """Return the runs of the study: all methods of a seed, then the next seed."""
        first = self.task_names() if self.pairs else [None]
        return [
            Job(method, seed, after=after)
            for seed in self.seeds
            for method in self.methods
            for after in ([None] if method.type == "single_task" else first)
        ]

    def first_jobs(self) -> list[Job]:
        """Return a job of every method, and of every setting of those that are tuned."""
        untuned = [Job(method, self.seeds[0]) for method in self.methods if not method.grid]
        return untuned + [job for method in self.methods for job in self.tuning_jobs(method)]

    def tuning_jobs(self, method: MethodPlan) -> list[Job]:
        """Return a run for every setting of a method's grid, on the first seed."""
        return [
            Job(method.with_setting(setting), self.seeds[0], index)
            for index, setting in enumerate(method.settings())
        ]


class Streams:
    """Builds the stream of a job; keeps the last stream, which the next job mostly shares."""

    def __init__(self, plan: StudyPlan) -> None:
        self._plan = plan
        self._last: tuple[tuple[int, bool], TaskStream] | None = None

    def __call__(self, job: Job) -> TaskStream:
        """Return the job's stream: for tuning, one that holds training data alone."""
        key = (job.seed, job.setting is not None)
        if self._last is None or self._last[0] != key:
            self._last = None  # so that two streams are not in memory at once
            gc.collect()  # the last run's strategy refers to itself
            self._last = (key, self._build_stream(*key))
        stream = self._last[1]
        return stream if job.after is None else _begun_with(stream, job.after)

    def _build_stream(self, seed: int, tuning: bool) -> TaskStream:
        stream = self._plan.stream(seed)
        if not tuning:
            return stream
        return stream.validation_split(self._plan.training.validation_fraction, seed)


def _begun_with(stream: TaskStream, name: str) -> TaskStream:
    """Return a stream of one task, with the other tasks of ``stream`` as probes."""
    from cl_moe.streams.stream import TaskStream

    first = [task for task in stream if task.name == name]
    return TaskStream(first, stream.name, [task for task in stream if task.name != name])
