"""Checkpoints of an unfinished run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from cl_moe.runs.checkpoints.tensor_files import Stored, TensorFiles
from cl_moe.state import State
from cl_moe.storage import digest, naming, replace_file

__all__ = ("Checkpoints", "Saved")

SCHEMA = 2
"""Version of the files."""
KEPT = 2
"""Number of checkpoints that are kept."""
SHARE = 0.01
"""Share of a run's processor time for preparing checkpoints; with writing, at most 2 %."""

DAMAGE = (OSError, ValueError, KeyError, TypeError, AttributeError)
"""Errors that a damaged file, or one of another version, may raise."""


@dataclass(frozen=True)
class Saved:
    """A checkpoint.

    Attributes:
        stage: number of finished stages of the run: tasks, then probes.
        state: the strategy after them; None before the first.
        within: the training after some steps of the next stage; None at its start.
        log: what the run has recorded: pairs of a kind and a record.
    """

    stage: int
    state: State | None
    within: State | None = None
    log: Sequence[tuple[str, Any]] = ()


class Checkpoints:
    """Writes and reads the checkpoints of one run, in a folder of its own.

    ``checkpoint-N.json`` holds the plain values, and says in which ``tensors-N.safetensors`` each
    tensor is: a tensor that is the same as in the last checkpoint is not written again, so that the
    frozen parts of a growing model are written once. Records are appended to ``log.jsonl``. All is
    written aside, flushed and renamed, by a thread while the run goes on. Digests of all files are
    checked when a checkpoint is read. The last two are kept: if the last one is damaged, the one
    before is read.

    Args:
        folder: the folder; made when the first checkpoint is written.
        identity: what determines the run; a checkpoint with another one is not read.
        share: most of the processor time that checkpoints may take, see :meth:`due`.

    >>> import tempfile
    >>> import torch
    >>> with tempfile.TemporaryDirectory() as place:
    ...     checkpoints = Checkpoints(Path(place) / "moe-seed_0", {"seed": 0})
    ...     checkpoints.save(1, State({"n": 1}, {"w": torch.ones(2)}), [("row", {"value": 0.5})])
    ...     checkpoints.flush()
    ...     again = Checkpoints(Path(place) / "moe-seed_0", {"seed": 0}).load()
    >>> again.stage, again.state.tensors, again.log
    (1, {'w': tensor([1., 1.])}, [('row', {'value': 0.5})])
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], share: float = SHARE) -> None:
        self.folder, self._share = folder, share
        self._identity = json.loads(json.dumps(identity))
        self._thread = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._forget()

    def _forget(self) -> None:
        self._number = 0
        self._boundary: tuple[int, Stored | None] = (0, None)
        self._tensors = TensorFiles(self.folder)
        self._written: list[tuple[int, set[str]]] = []  # checkpoints, with the files they need
        self._log, self._log_size = blake2b(digest_size=16), 0
        self._cost, self._last = 0.0, time.process_time()
        self._began: float | None = None

    def due(self) -> bool:
        """Tell whether a checkpoint that costs as much as the last one keeps to its share of time.

        The time until it is saved counts as its cost.
        """
        self._began = time.process_time()
        return (self._began - self._last) * self._share >= self._cost

    def save(self, stage: int, state: State | None, log: Iterable[tuple[str, Any]] = ()) -> None:
        """Write a checkpoint after a stage, with the records since the last checkpoint.

        Raises:
            OSError: the checkpoint before cannot be written, with the path.
        """
        self._write(stage, state, None, log)

    def save_within(self, within: State, log: Iterable[tuple[str, Any]] = ()) -> None:
        """Write a checkpoint in the stage that follows the last :meth:`save`."""
        self._write(self._boundary[0], None, within, log)

    def load(self) -> Saved | None:
        """Return the last checkpoint that is not damaged and has the same identity.

        What does not belong to it is removed, and :meth:`save` continues from it. None if there is
        none.
        """
        numbers = sorted(map(_number_of, self.folder.glob("checkpoint-*.json")), reverse=True)
        for number in numbers:
            with contextlib.suppress(*DAMAGE):
                return self._load(number)
        self.remove()
        return None

    def remove(self) -> None:
        """Remove all checkpoints of the run; the next one is the first."""
        with contextlib.suppress(OSError):
            self.flush()
        shutil.rmtree(self.folder, ignore_errors=True)
        self._forget()

    def flush(self) -> None:
        """Wait until the last checkpoint is on the disk.

        Raises:
            OSError: it cannot be written, with the path.
        """
        writing, self._writing = self._writing, None
        if writing is not None:
            writing.result()

    def close(self) -> None:
        """End the thread that writes, after the last checkpoint.

        Raises:
            OSError: it cannot be written, with the path.
        """
        self._thread.shutdown()
        self.flush()

    def _write(
        self,
        stage: int,
        state: State | None,
        within: State | None,
        log: Iterable[tuple[str, Any]],
    ) -> None:
        """Prepare a checkpoint, and write it in a thread, while the training goes on."""
        start = time.process_time() if self._began is None else self._began
        self._began = None
        self.flush()
        number = self._number = self._number + 1
        lines, place = self._appended(log), self._log_size
        file = f"tensors-{number}.safetensors"
        if within is None:
            self._boundary = (stage, None if state is None else self._tensors.store(state, file))
        training = None if within is None else self._tensors.store(within, file)
        files = self._tensors.content(file)
        files[f"checkpoint-{number}.json"] = self._record(number, training)
        place -= len(lines)
        self._writing = self._thread.submit(self._put, lines, place, files, self._unneeded())
        self._last = time.process_time()
        self._cost = self._last - start

    def _put(
        self, lines: bytes, place: int, files: Mapping[str, bytes], unneeded: Iterable[str]
    ) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / "log.jsonl"
        with naming(path), path.open("ab") as file:
            file.truncate(place)  # after it is a write that was cut off
            file.write(lines)
            file.flush()
            os.fsync(file.fileno())
        for name, content in files.items():  # the description last
            replace_file(self.folder / name, content, flush=True)
        for name in unneeded:
            (self.folder / name).unlink(missing_ok=True)

    def _record(self, number: int, training: Stored | None) -> bytes:
        """Return the description of a checkpoint, after its digest."""
        stage, boundary = self._boundary
        stored = [part for part in (boundary, training) if part is not None]
        needed = set().union(*(part.files for part in stored))
        record = {
            "schema": SCHEMA,
            "identity": self._identity,
            "stage": stage,
            "state": None if boundary is None else [boundary.plain, boundary.places],
            "within": None if training is None else [training.plain, training.places],
            "files": {name: self._tensors.digests[name] for name in sorted(needed)},
            "log": [self._log_size, self._log.hexdigest()],
        }
        self._written.append((number, needed))
        text = json.dumps(record)
        return f"{digest(text.encode())}\n{text}".encode()

    def _unneeded(self) -> list[str]:
        """Return, and forget, the files that the last two checkpoints do not need."""
        names = [f"checkpoint-{number}.json" for number, _ in self._written[:-KEPT]]
        self._written = self._written[-KEPT:]
        needed = set().union(*(files for _, files in self._written))
        return names + self._tensors.keep(needed)

    def _appended(self, log: Iterable[tuple[str, Any]]) -> bytes:
        """Return the new lines of the log, and count them."""
        lines = "".join(json.dumps(list(item)) + "\n" for item in log).encode()
        self._log.update(lines)
        self._log_size += len(lines)
        return lines

    def _load(self, number: int) -> Saved:
        path = self.folder / f"checkpoint-{number}.json"
        wanted, _, text = path.read_text(encoding="utf-8").partition("\n")
        record = json.loads(text)
        if (
            digest(text.encode()) != wanted
            or record["schema"] != SCHEMA
            or record["identity"] != self._identity
        ):
            raise ValueError(path)
        log = self._read_log(*record["log"])
        files = record["files"]
        before, training = self._tensors.load([record["state"], record["within"]], files)
        self._number = number
        self._boundary = (record["stage"], None if before is None else before[1])
        self._written = [(number, set(files))]
        known = {path.name, "log.jsonl", *files}
        for other in self.folder.iterdir():
            if other.name not in known:
                other.unlink()
        state, within = (None if part is None else part[0] for part in (before, training))
        return Saved(record["stage"], state, within, log)

    def _read_log(self, size: int, wanted: str) -> list[tuple[str, Any]]:
        with (self.folder / "log.jsonl").open("rb") as file:
            content = file.read(size)
        self._log, self._log_size = blake2b(content, digest_size=16), len(content)
        if self._log.hexdigest() != wanted:
            raise ValueError(self.folder)
        lines = content.decode().split("\n")[:-1]
        return [(kind, record) for kind, record in map(json.loads, lines)]


def _number_of(path: Path) -> int:
    word = path.stem.removeprefix("checkpoint-")
    return int(word) if word.isdecimal() else -1
