"""A study that was read from its folder."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from cl_moe.analysis.data import StudyData
from cl_moe.arguments import checked
from cl_moe.runs.folder.kept import kept_model

if TYPE_CHECKING:
    from cl_moe.training.model import TaskModel

__all__ = ("StoredStudy",)


@dataclass(frozen=True, eq=False)
class StoredStudy(StudyData):
    """A study as frames that knows its folder, and so its models.

    Args:
        folder: where it was read from.
        note: what could not be checked, if anything.
    """

    folder: Path | None = None
    note: str | None = None

    @checked()
    def model(self, method: str, seed: int = 0, *, allow_code: bool = False) -> TaskModel:
        """Return the model of a run as it was at the end of the stream.

        Args:
            method: its name.
            seed: of the run.
            allow_code: as for :func:`cl_moe.load`.

        Raises:
            InputError: no such method or seed, or no model was kept (``--keep-models``).
        """
        return kept_model(self.folder, method, seed, allow_code=allow_code)
