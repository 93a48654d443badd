"""What a part remembers, as JSON and tensors: on disk and back, without pickle."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ("State", "Stateful", "merged", "part_of")


@dataclass(frozen=True)
class State:
    """Plain values that JSON can hold, and tensors by name.

    Attributes:
        plain: numbers, text, lists and dictionaries of these.
        tensors: by name.

    >>> State({"n": 1}).plain
    {'n': 1}
    """

    plain: Mapping[str, Any] = field(default_factory=dict)
    tensors: Mapping[str, Tensor] = field(default_factory=dict)


class Stateful(Protocol):
    """Anything that remembers: ``restore(other.state())`` makes it remember what the other does."""

    def state(self) -> State:
        """Return what is remembered; later changes do not reach it."""

    def restore(self, state: State) -> None:
        """Take back what :meth:`state` gave."""


def merged(parts: Mapping[str, State]) -> State:
    """Return the states of several parts as one.

    >>> merged({"a": State({"n": 1}), "b": State({"n": 2})}).plain
    {'a': {'n': 1}, 'b': {'n': 2}}
    """
    plain = {name: dict(part.plain) for name, part in parts.items()}
    tensors = {f"{n}.{key}": t for n, part in parts.items() for key, t in part.tensors.items()}
    return State(plain, tensors)


def part_of(state: State, name: str) -> State:
    """Return the state of one part of several.

    >>> part_of(merged({"a": State({"n": 1}), "b": State({"n": 2})}), "b").plain
    {'n': 2}
    """
    start = f"{name}."
    tensors = {k[len(start) :]: t for k, t in state.tensors.items() if k.startswith(start)}
    return State(dict(state.plain.get(name, {})), tensors)
