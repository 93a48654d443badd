"""Checkpoints of an unfinished run."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.errors import InputError
from cl_moe.runs.files import write_bytes
from cl_moe.state import State, digest_of, packed, unpacked

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ("Checkpoints", "Saved")

SCHEMA = 1
"""Version of the files."""
KEPT = 2
"""Number of checkpoints that are kept."""
SHARE = 0.02
"""Most of a run's time that checkpoints take."""

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


@dataclass
class _Stored:
    """Where the tensors of a state are: name -> file, key, memory order."""

    plain: Mapping[str, Any]
    places: dict[str, list[Any]] = field(default_factory=dict)


class Checkpoints:
    """Writes and reads the checkpoints of one run, in a folder of its own.

    ``checkpoint-N.json`` holds the plain values, and says in which ``tensors-N.safetensors`` each
    tensor is: a tensor that is the same as in the last checkpoint is not written again, so that the
    frozen parts of a growing model are written once. Records are appended to ``log.jsonl``. All is
    written aside, flushed and renamed; each file's digest is in the next one that refers to it. The
    last two checkpoints are kept: if the last one is damaged, the one before is read.

    Args:
        folder: the folder; made when the first checkpoint is written.
        identity: what determines the run; a checkpoint with another one is not read.
        share: most of the time that checkpoints may take, see :meth:`due`.

    >>> import tempfile
    >>> import torch
    >>> with tempfile.TemporaryDirectory() as place:
    ...     checkpoints = Checkpoints(Path(place) / "moe-seed_0", {"seed": 0})
    ...     checkpoints.save(1, State({"n": 1}, {"w": torch.ones(2)}), [("row", {"value": 0.5})])
    ...     again = Checkpoints(Path(place) / "moe-seed_0", {"seed": 0}).load()
    >>> again.stage, again.state.tensors, again.log
    (1, {'w': tensor([1., 1.])}, [('row', {'value': 0.5})])
    """

    def __init__(self, folder: Path, identity: Mapping[str, Any], share: float = SHARE) -> None:
        self.folder, self._share = folder, share
        self._identity = json.loads(json.dumps(identity))
        self._forget()

    def _forget(self) -> None:
        self._number = 0
        self._boundary: tuple[int, _Stored | None] = (0, None)
        self._places: dict[bytes, list[Any]] = {}  # of each tensor, by its digest
        self._files: dict[str, str] = {}  # digests of the files with tensors
        self._written: list[tuple[int, set[str]]] = []  # checkpoints, with the files they need
        self._log, self._log_size = blake2b(digest_size=16), 0
        self._cost, self._last = 0.0, time.monotonic()

    def due(self) -> bool:
        """Tell whether a checkpoint would keep to the share of time, as the last one's did."""
        return (time.monotonic() - self._last) * self._share >= self._cost

    def save(self, stage: int, state: State | None, log: Iterable[tuple[str, Any]] = ()) -> None:
        """Write a checkpoint after a stage, with the records since the last checkpoint.

        Raises:
            InputError: the file system refuses.
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
        shutil.rmtree(self.folder, ignore_errors=True)
        self._forget()

    def _write(
        self,
        stage: int,
        state: State | None,
        within: State | None,
        log: Iterable[tuple[str, Any]],
    ) -> None:
        start = time.monotonic()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            self._append(log)
            number = self._number = self._number + 1
            new: dict[str, Tensor] = {}
            if within is None:
                self._boundary = (stage, None if state is None else self._store(state, new))
            training = None if within is None else self._store(within, new)
            self._write_tensors(f"tensors-{number}.safetensors", new)
            self._write_record(number, training)
        except OSError as error:
            raise InputError(
                f"{self.folder}: a checkpoint cannot be written ({error.strerror}); make room, and "
                "run the study again to continue it"
            ) from error
        self._last = time.monotonic()
        self._cost = self._last - start

    def _store(self, state: State, new: dict[str, Tensor]) -> _Stored:
        """Return where the tensors of a state are; add those that are not stored to ``new``."""
        tensors, layouts = packed(state.tensors)
        stored = _Stored(state.plain)
        for name, tensor in tensors.items():
            digest = _digest_of(tensor)
            if digest not in self._places:
                key = str(len(new))
                new[key] = tensor
                self._places[digest] = [f"tensors-{self._number}.safetensors", key]
            stored.places[name] = [*self._places[digest], layouts.get(name)]
        return stored

    def _write_tensors(self, name: str, new: Mapping[str, Tensor]) -> None:
        from safetensors.torch import save

        if new:
            content = save({key: tensor.clone() for key, tensor in new.items()})
            write_bytes(self.folder / name, content, flush=True)
            self._files[name] = blake2b(content, digest_size=16).hexdigest()

    def _write_record(self, number: int, training: _Stored | None) -> None:
        stage, boundary = self._boundary
        stored = [part for part in (boundary, training) if part is not None]
        needed = {place[0] for part in stored for place in part.places.values()}
        record = {
            "schema": SCHEMA,
            "identity": self._identity,
            "stage": stage,
            "state": None if boundary is None else [boundary.plain, boundary.places],
            "within": None if training is None else [training.plain, training.places],
            "files": {name: self._files[name] for name in sorted(needed)},
            "log": [self._log_size, self._log.hexdigest()],
        }
        text = json.dumps(record)
        content = f"{blake2b(text.encode(), digest_size=16).hexdigest()}\n{text}".encode()
        write_bytes(self.folder / f"checkpoint-{number}.json", content, flush=True)
        self._written.append((number, needed))
        self._clean()

    def _clean(self) -> None:
        """Remove checkpoints before the last two, and tensors that none needs any more."""
        for number, _ in self._written[:-KEPT]:
            (self.folder / f"checkpoint-{number}.json").unlink(missing_ok=True)
        self._written = self._written[-KEPT:]
        needed = set().union(*(files for _, files in self._written))
        for name in self._files.keys() - needed:
            (self.folder / name).unlink(missing_ok=True)
            del self._files[name]
        self._places = {d: place for d, place in self._places.items() if place[0] in self._files}

    def _append(self, log: Iterable[tuple[str, Any]]) -> None:
        content = "".join(json.dumps(list(item)) + "\n" for item in log).encode()
        path = self.folder / "log.jsonl"
        if not content and path.exists():
            return
        with path.open("ab") as file:
            file.truncate(self._log_size)  # a write that was cut off
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        self._log.update(content)
        self._log_size += len(content)

    def _load(self, number: int) -> Saved:
        path = self.folder / f"checkpoint-{number}.json"
        digest, _, text = path.read_text(encoding="utf-8").partition("\n")
        record = json.loads(text)
        if (
            blake2b(text.encode(), digest_size=16).hexdigest() != digest
            or record["schema"] != SCHEMA
            or record["identity"] != self._identity
        ):
            raise ValueError(path)
        log = self._read_log(*record["log"])
        held = self._read_tensors(record["files"])
        state, boundary = _restored(record["state"], held)
        within, training = _restored(record["within"], held)
        self._number, self._boundary = number, (record["stage"], boundary)
        self._files = dict(record["files"])
        self._written = [(number, set(self._files))]
        for stored, found in ((boundary, state), (training, within)):
            if stored is not None and found is not None:
                for name, tensor in packed(found.tensors)[0].items():
                    self._places.setdefault(_digest_of(tensor), stored.places[name][:2])
        known = {f"checkpoint-{number}.json", "log.jsonl", *self._files}
        for other in self.folder.iterdir():
            if other.name not in known:
                other.unlink()
        return Saved(record["stage"], state, within, log)

    def _read_log(self, size: int, digest: str) -> list[tuple[str, Any]]:
        with (self.folder / "log.jsonl").open("rb") as file:
            content = file.read(size)
        self._log, self._log_size = blake2b(content, digest_size=16), len(content)
        if self._log.hexdigest() != digest:
            raise ValueError(self.folder)
        lines = content.decode().split("\n")[:-1]
        return [(kind, record) for kind, record in map(json.loads, lines)]

    def _read_tensors(self, files: Mapping[str, str]) -> dict[str, dict[str, Tensor]]:
        from safetensors.torch import load_file

        for name, digest in files.items():
            if digest_of(self.folder / name) != digest:
                raise ValueError(self.folder / name)
        return {name: load_file(self.folder / name) for name in files}


def _restored(
    entry: Sequence[Any] | None, held: Mapping[str, Mapping[str, Tensor]]
) -> tuple[State | None, _Stored | None]:
    if entry is None:
        return None, None
    plain, places = entry
    tensors = {name: held[file][key].clone() for name, (file, key, _) in places.items()}
    layouts = {name: order for name, (_, _, order) in places.items() if order is not None}
    return State(plain, unpacked(tensors, layouts)), _Stored(plain, places)


def _digest_of(tensor: Tensor) -> bytes:
    """Return a hash of a contiguous tensor's type, shape and values."""
    import torch

    found = blake2b(repr((tensor.dtype, tuple(tensor.shape))).encode(), digest_size=32)
    found.update(tensor.flatten().view(torch.uint8).numpy().data)
    return found.digest()


def _number_of(path: Path) -> int:
    word = path.stem.removeprefix("checkpoint-")
    return int(word) if word.isdecimal() else -1
