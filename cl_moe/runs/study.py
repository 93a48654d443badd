"""A study: one call runs it, and what came out of it."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.errors import InputError
from cl_moe.runs.driver import Driver
from cl_moe.runs.engines.choice import EngineLike, open_engine, read_engine
from cl_moe.runs.formatting import counted
from cl_moe.runs.kept import folder_for_models, kept_model
from cl_moe.runs.plan import Streams, StudyPlan
from cl_moe.runs.planning import MethodLike, Source, make_plan
from cl_moe.runs.progress import open_display
from cl_moe.runs.store import StudyFolder, load_study

if TYPE_CHECKING:
    import pandas as pd

    from cl_moe.analysis.data import StudyData
    from cl_moe.streams.scenario import NetworkSpec, TrainingSpec
    from cl_moe.training.model import TaskModel

__all__ = ("Study", "run", "run_plan")


@dataclass(frozen=True, eq=False)
class Study:
    """What a study gave.

    Args:
        data: rows, tasks, methods, events and timings as frames.
        folder: where it is kept; None if nowhere.
    """

    data: StudyData
    folder: Path | None = None

    @property
    def rows(self) -> pd.DataFrame:
        """Tidy rows: method, seed, after_task, task, metric, value, epoch."""
        return self.data.rows

    @property
    def events(self) -> list[dict[str, Any]]:
        """The methods' decisions, each with a ``sentence``."""
        return self.data.events

    def summary(self) -> pd.DataFrame:
        """Return each metric's mean over seeds with its 95 % interval; see the metrics' table."""
        from cl_moe.analysis import summary

        return summary(self.data)

    def transfer(self) -> pd.DataFrame:
        """Return the transfer matrices, a row a cell; empty where no pairs of tasks were measured.

        Columns: method, after, task, mean, low, high, seeds: the gain in accuracy on ``task`` when
        it is learned after ``after`` alone, over a model of ``task`` alone, with its 95 % interval.
        """
        from cl_moe.analysis import transfer_summary

        return transfer_summary(self.data).drop(columns="interval")

    def table(self) -> str:
        """Return the table of methods as text, what to know of it, and any transfer matrices."""
        from rich.console import Console

        from cl_moe.analysis import remarks, rich_table, table_data, transfer_tables

        console = Console(width=120, color_system=None, force_jupyter=False)
        with console.capture() as captured:
            console.print(rich_table(table_data(self.data)))
            for line in remarks(self.data):
                console.print(line, markup=False, highlight=False)
            for found in transfer_tables(self.data):
                console.print(rich_table(found))
        return captured.get().rstrip()

    def plot(
        self, folder: str | Path | None = None, formats: Sequence[str] = ("png",)
    ) -> list[Path]:
        """Draw every figure that the study has data for, and return the files.

        Args:
            folder: by default ``figures`` in the study's own folder.
            formats: ``png``, ``pdf``, ``svg``.

        Raises:
            InputError: no folder is given, and the study is kept in none.
        """
        from cl_moe.analysis import plot_all

        if folder is None and self.folder is None:
            raise InputError("folder: the study is kept nowhere; give a folder for the figures")
        target = Path(folder) if folder is not None else (self.folder or Path()) / "figures"
        return plot_all(self.data, target, formats)

    def model(self, method: str, seed: int = 0) -> TaskModel:
        """Return the model of a run as it was at the end of the stream.

        Raises:
            InputError: no such method or seed, or no model was kept (``keep_models=True``).
        """
        return kept_model(self.folder, method, seed)

    def __repr__(self) -> str:
        counts = (
            counted(len(self.data.method_names), "method"),
            counted(len(self.data.seeds), "seed"),
            counted(len(self.data.stream_tasks), "task"),
        )
        kept = f", kept in {self.folder}" if self.folder else ""
        return f"Study '{self.data.name}': {', '.join(counts)}{kept}\n{self.table()}"


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
    fresh: bool = False,
    progress: bool = True,
) -> Study:
    """Run a study: every method learns the stream's tasks one after the other, with every seed.

    The same arguments give the same rows, bit for bit, on one kind of machine, however many
    ``jobs`` and whatever ``engine``.
    A study that was stopped goes on where it was when it is run again with the same ``out``:
    whole runs are kept, and methods and seeds may be added.

    Args:
        source: a scenario, its file, its name (``"digits_quick"``), or a :class:`TaskStream`.
        methods: names of the scenario's methods or of the catalogue, or tables such as
            ``{"type": "ewc", "strength": 10}``. By default the scenario's; dense and moe for a
            stream. A table with ``"grid": {"strength": [1, 10]}`` has its parameters chosen on
            held-out training data.
        seeds: their number, or a list of them; by default the scenario's, 5 for a stream.
        jobs: how many runs at once; by default one, and on a cluster all that it has room for.
        engine: ``"local"``, processes of this machine; or ``"ray"``, or a
            :class:`~cl_moe.runs.engines.choice.RaySpec` with an address and what a run takes.
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
        fresh: remove what an earlier study has left in ``out``.
        progress: show how far it is, on standard error.

    Raises:
        InputError: arguments, scenario or data cannot be used; every problem is named.
        StudyError: some runs failed; the others are kept.
        StudyInterrupted: Ctrl-C (a KeyboardInterrupt); whole runs are kept.

    >>> study = run("digits_quick", ["dense"], seeds=1, training={"epochs": 1}, progress=False)
    >>> study.data.method_names
    ['dense']
    """
    plan = make_plan(
        source, methods, seeds, training=training, network=network, baseline=baseline,
        device=device, data_dir=data_dir, threads=threads, curves=curves,
        elsewhere=engine != "local",
    )  # fmt: skip
    return run_plan(
        plan, jobs=jobs, engine=engine, out=out, keep_models=keep_models, fresh=fresh,
        progress=progress,
    )  # fmt: skip


def run_plan(
    plan: StudyPlan,
    *,
    jobs: int | None = None,
    engine: EngineLike = "local",
    out: str | Path | None = None,
    keep_models: bool = False,
    fresh: bool = False,
    progress: bool = True,
) -> Study:
    """Run a checked plan; see :func:`run`."""
    cluster = read_engine(engine, jobs)
    if keep_models:
        plan = replace(plan, models=folder_for_models(out, here=cluster is None))
    with contextlib.ExitStack() as stack:
        if out is None:
            path = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        else:
            path = Path(out)
        display = stack.enter_context(open_display(progress))
        streams = Streams(plan)
        where = open_engine(plan, streams, jobs, cluster, display.tell)
        stack.callback(where.close)
        driver = Driver(plan, StudyFolder(path), streams, where, display, kept=out is not None)
        driver.prepare(fresh)
        driver.run()
        return Study(load_study(path), None if out is None else path)
