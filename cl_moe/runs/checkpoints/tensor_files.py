"""Tensors by their content, in numbered files of which each tensor is in one."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.state import State, packed, unpacked
from cl_moe.storage import digest, file_digest

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ("Stored", "TensorFiles")


@dataclass(frozen=True)
class Stored:
    """A state, with the places of its tensors: name -> file, key, memory order or None.

    Attributes:
        plain: its plain values.
        places: see above.
    """

    plain: Mapping[str, Any]
    places: dict[str, list[Any]] = field(default_factory=dict)

    @property
    def files(self) -> set[str]:
        """The files that its tensors are in."""
        return {place[0] for place in self.places.values()}


@dataclass(frozen=True)
class _Still:
    """A tensor that does not change, and its place; held, so that no other tensor gets its id."""

    tensor: Tensor
    version: int
    data: int
    place: list[Any]

    def is_still(self, tensor: Tensor) -> bool:
        """Tell whether a tensor is this one, and nothing was written into it since."""
        same = tensor is self.tensor and tensor._version == self.version
        return same and tensor.data_ptr() == self.data


class TensorFiles:
    """Files of tensors in a folder, written by somebody else; a known tensor is not stored again.

    A tensor is known by a digest of its values; one of a part that does not change
    (:attr:`~cl_moe.state.State.still`) by its identity, without reading it again.

    Args:
        folder: where the files are.

    >>> import torch
    >>> files = TensorFiles(Path("."))
    >>> first = files.store(State({}, {"w": torch.ones(2)}), "a")
    >>> content = files.content("a")
    >>> second = files.store(State({}, {"w": torch.ones(2), "b": torch.zeros(1)}), "b")
    >>> second.places
    {'w': ['a', '0', None], 'b': ['b', '0', None]}
    """

    def __init__(self, folder: Path) -> None:
        import safetensors.torch  # noqa: F401 - else its import would be the first file's cost

        self._folder = folder
        self._places: dict[bytes, list[Any]] = {}
        self._still: dict[int, _Still] = {}
        self._new: dict[str, Tensor] = {}
        self.digests: dict[str, str] = {}
        """Digests of the files, by name."""

    def store(self, state: State, file: str) -> Stored:
        """Return the places of a state's tensors; unknown ones will be in ``file``."""
        from cl_moe.moe.offload import tensor_digest

        stored, still = Stored(state.plain), dict[int, _Still]()
        for name in state.still:
            known = self._still.get(id(state.tensors[name]))
            if known is not None and known.is_still(state.tensors[name]):
                stored.places[name] = known.place
                still[id(known.tensor)] = known
        new = {n: t.detach() for n, t in state.tensors.items() if n not in stored.places}
        tensors, layouts = packed(new)
        for name, tensor in tensors.items():
            digest_of = tensor_digest(tensor)
            if digest_of not in self._places:
                key = str(len(self._new))
                self._new[key] = tensor
                self._places[digest_of] = [file, key]
            stored.places[name] = [*self._places[digest_of], layouts.get(name)]
        for name in state.still:
            if name in new:
                held = state.tensors[name]
                place = stored.places[name]
                still[id(held)] = _Still(held, held._version, held.data_ptr(), place)
        self._still = still or self._still
        return stored

    def content(self, file: str) -> dict[str, bytes]:
        """Return the content of ``file``, by its name; nothing if no tensor is new."""
        from safetensors.torch import save

        new, self._new = self._new, {}
        if not new:
            return {}
        content = save({key: tensor.clone() for key, tensor in new.items()})
        self.digests[file] = digest(content)
        return {file: content}

    def keep(self, needed: Collection[str]) -> list[str]:
        """Forget all files but those that are needed, and return the others."""
        gone = [name for name in self.digests if name not in needed]
        self.digests = {name: d for name, d in self.digests.items() if name in needed}
        self._places = {d: place for d, place in self._places.items() if place[0] in needed}
        self._still = {i: known for i, known in self._still.items() if known.place[0] in needed}
        return gone

    def load(
        self, entries: Sequence[Sequence[Any] | None], digests: Mapping[str, str]
    ) -> list[tuple[State, Stored] | None]:
        """Read states from their plain values and places.

        Raises:
            ValueError: a file does not have its digest.
        """
        from safetensors.torch import load_file

        from cl_moe.moe.offload import tensor_digest

        for name, wanted in digests.items():
            if file_digest(self._folder / name) != wanted:
                raise ValueError(self._folder / name)
        held = {name: load_file(self._folder / name) for name in digests}
        found: list[tuple[State, Stored] | None] = []
        places: dict[bytes, list[Any]] = {}
        for entry in entries:
            if entry is None:
                found.append(None)
                continue
            stored = Stored(*entry)
            tensors = {n: held[file][key].clone() for n, (file, key, _) in stored.places.items()}
            places |= {tensor_digest(t): stored.places[name][:2] for name, t in tensors.items()}
            layouts = {n: order for n, (_, _, order) in stored.places.items() if order is not None}
            found.append((State(stored.plain, unpacked(tensors, layouts)), stored))
        self._places, self.digests = places, dict(digests)
        return found
