"""The result of a study."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.arguments import checked
from cl_moe.errors import InputError
from cl_moe.escape import line
from cl_moe.runs.folder.kept import kept_model
from cl_moe.runs.folder.loading import load_study
from cl_moe.runs.formatting import counted

if TYPE_CHECKING:
    import pandas as pd

    from cl_moe.analysis.data import StudyData
    from cl_moe.training.model import TaskModel

__all__ = ("Study", "study_of")


@dataclass(frozen=True, eq=False)
class Study:
    """The result of a study.

    Args:
        data: rows, tasks, methods, events and timings as frames.
        folder: the study's folder; None if it has none.
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
        from rich.text import Text

        from cl_moe.analysis import remarks, rich_table, table_data, transfer_tables
        from cl_moe.analysis.fitting import fitting

        console = Console(width=120, color_system=None, force_jupyter=False)
        with console.capture() as captured:
            for part in fitting(table_data(self.data), console.width):
                console.print(rich_table(part))
            for remark in remarks(self.data):
                console.print(Text(line(remark)))
            for found in transfer_tables(self.data):
                console.print(rich_table(found))
        return captured.get().rstrip()

    @checked()
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

    @checked()
    def model(self, method: str, seed: int = 0, *, allow_code: bool = False) -> TaskModel:
        """Return the model of a run as it was at the end of the stream.

        Args:
            method: its name.
            seed: of the run.
            allow_code: as for :func:`cl_moe.load`.

        Raises:
            InputError: no such method or seed, or no model was kept (``keep_models=True``).
        """
        return kept_model(self.folder, method, seed, allow_code=allow_code)

    def __repr__(self) -> str:
        counts = (
            counted(len(self.data.method_names), "method"),
            counted(len(self.data.seeds), "seed"),
            counted(len(self.data.stream_tasks), "task"),
        )
        kept = f", kept in {self.folder}" if self.folder else ""
        return f"Study '{self.data.name}': {', '.join(counts)}{kept}\n{self.table()}"


def study_of(folder: Path, *, kept: bool) -> Study | None:
    """Return the partial result of a study that was not completed.

    Args:
        folder: the study's.
        kept: whether it stays.

    Returns:
        None where no run is whole.
    """
    try:
        return Study(load_study(folder), folder if kept else None)
    except InputError:
        return None
