"""States of parts as JSON and tensors, saved and loaded without pickle."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from cl_moe.errors import InputError
from cl_moe.storage import file_digest

if TYPE_CHECKING:
    from torch import Tensor

__all__ = (
    "State",
    "Stateful",
    "load_state",
    "merged",
    "packed",
    "part_of",
    "save_state",
    "unpacked",
)

SCHEMA = 1
"""Version of the files."""
PLAIN, TENSORS = "model.json", "model.safetensors"


@dataclass(frozen=True)
class State:
    """Plain values that JSON can hold, and tensors by name.

    Attributes:
        plain: numbers, text, lists and dictionaries of these.
        tensors: by name.
        still: names of the tensors that are not copies, but those of a frozen part, or of one at
            rest, which has the same values until it is another object or has another version.

    >>> State({"n": 1}).plain
    {'n': 1}
    """

    plain: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)
    still: Collection[str] = frozenset()


class Stateful(Protocol):
    """An object with a state: ``restore(other.state())`` copies the state of another one."""

    def state(self) -> State:
        """Return a copy of the state."""

    def restore(self, state: State) -> None:
        """Restore the result of :meth:`state`."""


def merged(parts: Mapping[str, State]) -> State:
    """Return the states of several parts as one.

    >>> merged({"a": State({"n": 1}), "b": State({"n": 2})}).plain
    {'a': {'n': 1}, 'b': {'n': 2}}
    """
    plain = {name: dict(part.plain) for name, part in parts.items()}
    tensors = {f"{n}.{key}": t for n, part in parts.items() for key, t in part.tensors.items()}
    still = frozenset(f"{n}.{key}" for n, part in parts.items() for key in part.still)
    return State(plain, tensors, still)


def part_of(state: State, name: str) -> State:
    """Return the state of one part of several.

    >>> part_of(merged({"a": State({"n": 1}), "b": State({"n": 2})}), "b").plain
    {'n': 2}
    """
    start = f"{name}."
    tensors = {k[len(start) :]: t for k, t in state.tensors.items() if k.startswith(start)}
    return State(dict(state.plain.get(name, {})), tensors)


def save_state(folder: Path, state: State) -> None:
    """Write a state into a new folder as JSON and safetensors; written aside, then renamed.

    Raises:
        InputError: the path exists and is not a saved state.
    """
    from safetensors.torch import save_file

    if folder.exists() and not (folder / PLAIN).is_file():
        raise InputError(f"{folder}: exists and is not a saved model; give another name")
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = Path(tempfile.mkdtemp(prefix=f".{folder.name}-", dir=folder.parent))
    try:
        tensors, layouts = packed(state.tensors)
        save_file(tensors, aside / TENSORS)
        record = {"schema": SCHEMA, "digest": file_digest(aside / TENSORS), "layouts": layouts}
        record |= state.plain
        (aside / PLAIN).write_text(json.dumps(record, indent=1, allow_nan=False), encoding="utf-8")
        aside.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        os.replace(aside, folder)  # noqa: PTH105 - onto a name, not into a folder
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def load_state(folder: Path) -> State:
    """Read a state that :func:`save_state` wrote.

    Raises:
        InputError: no such folder, damaged files, or a later version.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        plain = json.loads((folder / PLAIN).read_text(encoding="utf-8"))
    except OSError:
        raise InputError(f"{folder}: no saved model (no {PLAIN} in it); name its folder") from None
    except ValueError as error:
        raise InputError(f"{folder / PLAIN}: is damaged ({error}); save the model again") from None
    if not isinstance(plain, dict) or plain.get("schema") != SCHEMA:
        found = plain.get("schema") if isinstance(plain, dict) else None
        raise InputError(f"{folder / PLAIN}: schema is {found!r}, and this version reads {SCHEMA}")
    try:
        if file_digest(folder / TENSORS) != plain.get("digest"):
            raise InputError(f"{folder / TENSORS}: does not match its digest; save the model again")
        tensors = load_file(folder / TENSORS)
    except (OSError, SafetensorError) as error:
        raise InputError(f"{folder / TENSORS}: cannot be read ({error})") from None
    tensors = unpacked(tensors, plain.pop("layouts", {}))
    return State({k: v for k, v in plain.items() if k not in ("schema", "digest")}, tensors)


def packed(tensors: Mapping[str, Tensor]) -> tuple[dict[str, Tensor], dict[str, list[int]]]:
    """Return tensors as contiguous ones, for safetensors, and the memory order of the others.

    >>> import torch
    >>> contiguous, layouts = packed({"a": torch.zeros(2, 3).T})
    >>> contiguous["a"].shape, layouts
    (torch.Size([2, 3]), {'a': [1, 0]})
    >>> unpacked(contiguous, layouts)["a"].stride()
    (1, 3)
    """
    layouts = {name: _order(t) for name, t in tensors.items() if not t.is_contiguous()}
    laid = {n: t.permute(layouts[n]) if n in layouts else t for n, t in tensors.items()}
    return {name: tensor.contiguous() for name, tensor in laid.items()}, layouts


def unpacked(
    tensors: Mapping[str, Tensor], layouts: Mapping[str, Sequence[int]]
) -> dict[str, Tensor]:
    """Return the tensors that were given to :func:`packed`, in their memory order."""
    found = dict(tensors)
    for name, order in layouts.items():
        found[name] = found[name].permute([order.index(d) for d in range(len(order))])
    return found


def _order(tensor: Tensor) -> list[int]:
    """Return a tensor's dimensions in memory order, the outermost first."""
    return sorted(range(tensor.dim()), key=lambda d: (-tensor.stride()[d], d))
