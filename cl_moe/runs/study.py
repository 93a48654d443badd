"""A study: one call runs it."""

from __future__ import annotations

import contextlib
import secrets
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.arguments import checked
from cl_moe.errors import InputError
from cl_moe.runs.driver import Driver
from cl_moe.runs.engines.choice import open_engine, read_engine
from cl_moe.runs.engines.spec import EngineLike
from cl_moe.runs.failures import StudyError
from cl_moe.runs.folder.kept import folder_for_models
from cl_moe.runs.folder.loading import load_study
from cl_moe.runs.folder.lock import locked
from cl_moe.runs.folder.store import StudyFolder
from cl_moe.runs.outcome import Study, study_of
from cl_moe.runs.plan import CheckpointPlan, Streams, StudyPlan
from cl_moe.runs.planning import PLANNED, MethodLike, Source, make_plan
from cl_moe.runs.progress import open_display
from cl_moe.storage import EXPERTS, STUDY, remove_leftovers, temporary_folder

if TYPE_CHECKING:
    from cl_moe.streams.scenario import NetworkSpec, TrainingSpec

__all__ = ("Study", "run", "run_plan")


@checked({"jobs": (1, 10_000)}, free=PLANNED)
def run(
    source: Source,
    methods: Sequence[MethodLike] | None = None,
    seeds: int | Sequence[int] | None = None,
    *,
    jobs: int | None = None,
    engine: EngineLike = "local",
    out: str | Path | None = None,
    device: str = "cpu",
    data_dir: str | Path | None = None,
    training: Mapping[str, Any] | TrainingSpec | None = None,
    network: Mapping[str, Any] | NetworkSpec | None = None,
    baseline: str | None = None,
    threads: int = 1,
    curves: bool = True,
    keep_models: bool = False,
    checkpoint_steps: int | None = None,
    fresh: bool = False,
    progress: bool = True,
    allow_code: bool = False,
) -> Study:
    """Run a study: every method learns the stream's tasks one after the other, with every seed.

    The same arguments give the same rows, bit for bit, on one kind of machine, however many
    ``jobs`` and whatever ``engine``.
    A study that was stopped goes on where it was when it is run again with the same ``out``:
    whole runs are kept, an unfinished run continues from its last checkpoint, and methods and seeds
    may be added.

    Args:
        source: a scenario, its file, its name (``"digits_quick"``), a :class:`TaskStream`, or an
            Avalanche benchmark, which becomes one by ``TaskStream.from_benchmark``.
        methods: names of the scenario's methods or of the catalogue, or tables such as
            ``{"type": "ewc", "strength": 10}``. By default the scenario's; dense and moe for a
            stream. A table with ``"grid": {"strength": [1, 10]}`` has its parameters chosen on
            held-out training data.
        seeds: their number, or a list of them; by default the scenario's, 5 for a stream.
        jobs: how many runs at once; by default one, and on a cluster all that it has room for.
        engine: ``"local"``, processes of this machine; or ``"ray"``, or a
            :class:`~cl_moe.runs.engines.spec.RaySpec` with an address and what a run takes.
        out: the study's folder; None keeps nothing on disk.
        device: a torch device.
        data_dir: folder of real data, for scenarios that have a use for it.
        training: changes to the training budget, e.g. ``{"epochs": 3}``.
        network: changes to the network, e.g. ``{"hidden": [128]}``.
        baseline: name of the method that the others are compared with.
        threads: torch threads of each run.
        curves: record learning curves (test accuracy after epochs 0 to 5 of each task, however
            many there are).
        keep_models: keep the model of each run as it is at the end of the stream, for
            :meth:`Study.model` and ``cl-moe predict``; needs ``out``.
        checkpoint_steps: write checkpoints of unfinished runs also within a task, after each such
            number of optimizer steps; by default at the end of tasks, in at most 2 % of the time.
        fresh: remove what an earlier study has left in ``out``.
        progress: show how far it is, on standard error.
        allow_code: for a scenario's file, as for :func:`~cl_moe.load_scenario`.

    Raises:
        InputError: arguments, scenario or data cannot be used; every problem is named.
        StudyError: some runs failed. The others were run, and are its ``study``; each failure's
            traceback is in a file that the message names.
        StudyInterrupted: Ctrl-C (a KeyboardInterrupt); whole runs are kept.

    >>> study = run("digits_quick", ["dense"], seeds=1, training={"epochs": 1}, progress=False)
    >>> study.data.method_names
    ['dense']
    """
    plan = make_plan(
        source, methods, seeds, training=training, network=network, baseline=baseline,
        device=device, data_dir=data_dir, threads=threads, curves=curves,
        elsewhere=engine != "local", allow_code=allow_code,
    )  # fmt: skip
    return run_plan(
        plan, jobs=jobs, engine=engine, out=out, keep_models=keep_models,
        checkpoint_steps=checkpoint_steps, fresh=fresh, progress=progress,
    )  # fmt: skip


def run_plan(
    plan: StudyPlan,
    *,
    jobs: int | None = None,
    engine: EngineLike = "local",
    out: str | Path | None = None,
    keep_models: bool = False,
    checkpoint_steps: int | None = None,
    fresh: bool = False,
    progress: bool = True,
) -> Study:
    """Run a checked plan; see :func:`run`."""
    cluster = read_engine(engine, jobs)
    for prefix in (EXPERTS, STUDY):
        remove_leftovers(tempfile.gettempdir(), prefix)
    if checkpoint_steps is not None and (type(checkpoint_steps) is not int or checkpoint_steps < 1):
        raise InputError(f"checkpoint_steps: {checkpoint_steps!r} is not a whole number from 1")
    if out is not None:
        token = f"token-{secrets.token_hex(8)}"
        where = CheckpointPlan(Path(out).absolute(), token, checkpoint_steps)
        plan = replace(plan, checkpoints=where)
    if keep_models:
        plan = replace(plan, models=folder_for_models(out, here=cluster is None))
    with contextlib.ExitStack() as stack:
        if out is None:
            path = temporary_folder(STUDY)
            stack.callback(shutil.rmtree, path, ignore_errors=True)
        else:
            path = Path(out)
        folder = StudyFolder(path)
        folder.refuse_others()
        stack.enter_context(locked(path))
        folder.clean()
        display = stack.enter_context(open_display(progress))
        streams = Streams(plan)
        runner = open_engine(plan, streams, jobs, cluster, display.tell)
        stack.callback(runner.close)
        driver = Driver(plan, folder, streams, runner, display, kept=out is not None)
        driver.prepare(fresh)
        try:
            driver.run()
        except StudyError as error:
            error.study = study_of(path, kept=out is not None)
            raise
        return Study(load_study(path), None if out is None else path)
