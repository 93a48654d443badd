"""A disk that is full from the k-th write of a study on, for many k; the next start goes on."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from pathlib import Path
from types import TracebackType
from unittest.mock import patch

from benchmarks.reliability.comparing import compared
from benchmarks.reliability.parts.commands import SCENARIO
from benchmarks.reliability.tally import Result, Tally, call, inside
from cl_moe import storage

__all__ = ("CASES", "COMMAND", "FullDisk", "run", "write_scenario")

CASES = 200
COMMAND = ("run", "s.toml", "--keep-models", "--no-figures", "--quiet", "--checkpoint-steps=1")
TUNED = '{ name = "ewc", grid = { strength = [1, 100] } }'


class FullDisk:
    """Makes atomic writes fail from the k-th on, counted from 0, as on a full disk.

    Half of the content of each is written before. At first none fails.

    >>> with FullDisk() as disk, tempfile.TemporaryDirectory() as folder:
    ...     storage.replace_file(Path(folder) / "a", b"1")
    ...     disk.at(0)
    ...     storage.replace_file(Path(folder) / "a", b"2")
    Traceback (most recent call last):
    ...
    OSError: [Errno 28] No space left on device: '...'
    """

    def __init__(self) -> None:
        self.k: int | None = None
        self.count = 0
        self._write = storage._write
        self._patch = patch.object(storage, "_write", self)

    def __enter__(self) -> FullDisk:
        self._patch.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: object, trace: TracebackType | None
    ) -> None:
        self._patch.stop()

    def __call__(self, handle: int, content: bytes, flush: bool) -> None:
        """Write a file's content, or half of it."""
        self.count += 1
        if self.k is not None and self.count > self.k:
            self._write(handle, content[: len(content) // 2], flush)
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        self._write(handle, content, flush)

    def at(self, k: int | None) -> None:
        """Count from 0 again; writes fail from ``k`` on, or none does."""
        self.k, self.count = k, 0


def write_scenario() -> None:
    """Write ``s.toml``, whose methods are dense, moe and ewc with a grid."""
    Path("s.toml").write_text(SCENARIO.replace('"moe"]', f'"moe", {TUNED}]'))


def run(cases: int) -> Result:
    """Fill the disk at writes that are spread over a study; start it again when there is space."""
    tally = Tally("full disk")
    with tempfile.TemporaryDirectory() as name, inside(Path(name)), FullDisk() as disk:
        write_scenario()
        made = call([*COMMAND, "--out=whole"])
        assert made.code == 0, made.text
        writes = disk.count
        for case in range(min(cases, writes)):
            _try(tally, disk, case * writes // min(cases, writes))
    note = "a study of which every write from the k-th on finds no space left, for k spread over "
    return tally.result(
        f"{note}{writes} writes; wrong: it is not said, with exit code 1 (other runs are whole) or "
        "2, or the next start ends with other results"
    )


def _try(tally: Tally, disk: FullDisk, k: int) -> None:
    disk.at(k)
    said = tally.commands([*COMMAND, "--out=full"], f"write {k}", codes=(1, 2))
    disk.at(None)
    if said is not None and said.code and "No space left on device" not in said.text:
        tally.failed(f"write {k}", f"not that the disk is full: {said.text[-300:]}")
    again = call([*COMMAND, "--out=full"])
    problems = compared(Path("whole"), Path("full")) if again.code == 0 else [again.text[-300:]]
    if problems:
        tally.failed(f"write {k}, the next start", "; ".join(problems))
    shutil.rmtree("full", ignore_errors=True)
