"""The transfer matrix: what each task gains from each other one that is learned before it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.arguments import checked
from cl_moe.errors import InputError
from cl_moe.runs.engines.spec import EngineLike
from cl_moe.runs.outcome import Study
from cl_moe.runs.plan import StudyPlan
from cl_moe.runs.planning import PLANNED, MethodLike, Source, make_plan
from cl_moe.runs.study import run_plan

if TYPE_CHECKING:
    from cl_moe.streams.scenario import NetworkSpec, TrainingSpec

__all__ = ("make_pair_plan", "transfer")

REFERENCE = "single_task"


@checked({"jobs": (1, 10_000)}, free=PLANNED)
def transfer(
    source: Source,
    methods: str | Mapping[str, Any] | Sequence[MethodLike] = "moe",
    seeds: int | Sequence[int] | None = None,
    *,
    jobs: int | None = None,
    engine: EngineLike = "local",
    out: str | Path | None = None,
    device: str = "cpu",
    data_dir: str | Path | None = None,
    training: Mapping[str, Any] | TrainingSpec | None = None,
    network: Mapping[str, Any] | NetworkSpec | None = None,
    threads: int = 1,
    fresh: bool = False,
    progress: bool = True,
    allow_code: bool = False,
) -> Study:
    """Measure the transfer matrix: the gain on each task when learned after each other one alone.

    For every task i of the stream, a method learns i alone and then, each from a copy of that
    state, every other task j. The gain is the accuracy on j minus that of ``single_task``, a model
    that sees only j. So with T tasks a seed takes T runs per method, of T tasks each, and one run
    of ``single_task``. Unseen tasks (probes) of a scenario are not used.

    The folder is that of a study. A folder that :func:`cl_moe.run` has written with the same source
    and budget may be given: its runs of ``single_task`` are used. An interrupted measurement
    continues where it was stopped.

    Args:
        source: as for :func:`cl_moe.run`, with two tasks or more.
        methods: one, or several; the others too are as for :func:`cl_moe.run`.
        seeds: their number, or a list of them.
        jobs: how many runs at once.
        engine: as for :func:`cl_moe.run`.
        out: the study's folder; None keeps nothing on disk.
        device: a torch device.
        data_dir: folder of real data.
        training: changes to the training budget.
        network: changes to the network.
        threads: torch threads of each run.
        fresh: remove what an earlier study has left in ``out``.
        progress: show how far it is, on standard error.
        allow_code: as for :func:`cl_moe.run`.

    Returns:
        The study; its ``transfer()`` is the matrix, its ``table()`` and ``plot()`` show it.

    Raises:
        InputError: as :func:`cl_moe.run`, or there is nothing to pair.
        StudyError: some runs failed; as :func:`cl_moe.run`.
        StudyInterrupted: Ctrl-C (a KeyboardInterrupt); whole runs are kept.

    >>> stream = "digits_quick"
    >>> budget = {"epochs": 1, "min_steps": 1}
    >>> study = transfer(stream, "dense", seeds=1, training=budget, progress=False)
    >>> list(study.transfer())
    ['method', 'after', 'task', 'mean', 'low', 'high', 'seeds']
    """
    plan = make_pair_plan(
        source, methods, seeds, training=training, network=network, device=device,
        data_dir=data_dir, threads=threads, elsewhere=engine != "local", allow_code=allow_code,
    )  # fmt: skip
    return run_plan(plan, jobs=jobs, engine=engine, out=out, fresh=fresh, progress=progress)


def make_pair_plan(
    source: Source,
    methods: str | Mapping[str, Any] | Sequence[MethodLike] = "moe",
    seeds: int | Sequence[int] | None = None,
    **options: Any,
) -> StudyPlan:
    """Return the checked plan of a transfer matrix; see :func:`transfer`.

    Args:
        source: where the tasks come from.
        methods: what learns; the reference is added.
        seeds: number or list.
        options: keywords of :func:`cl_moe.runs.planning.make_plan`.

    Raises:
        InputError: with every problem of every argument, or there is nothing to pair.
    """
    from cl_moe.streams.scenario import ScenarioSpec, read_scenario

    if isinstance(source, (str, Path)):
        source = read_scenario(source, allow_code=bool(options.get("allow_code")))[0]
    own = source.methods if isinstance(source, ScenarioSpec) else ()
    reference = next((method.name for method in own if method.type == REFERENCE), REFERENCE)
    given = [methods] if isinstance(methods, (str, Mapping)) else methods
    if not isinstance(given, Iterable):
        raise InputError(f"methods: {given!r} is not a list; give the name of a method, or several")
    others = [m for m in given if m not in (reference, "alone")]  # its alias
    plan = replace(make_plan(source, [*others, reference], seeds, **options), pairs=True)
    problems = []
    if all(method.type == REFERENCE for method in plan.methods):
        problems.append(
            f"methods: '{reference}' is what the others are measured against; give another"
        )
    if len(plan.task_names()) < 2:
        problems.append(f"'{plan.name}' has one task; a transfer matrix needs two or more")
    if problems:
        raise InputError(problems)
    return plan
