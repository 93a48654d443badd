"""Mutations of tables of values, and of bytes."""

from __future__ import annotations

import copy
import math
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

from benchmarks.reliability.hostile import texts

__all__ = ("broken", "encoded", "large", "mutated", "other", "small")

small = st.sampled_from((-(2**63), -1, 0, 1, 2, 3, 7, 0.5, -0.5, 1e-30, math.nan, math.inf, -0.0))
large = st.sampled_from((2**31, 2**63, 2**64, 10**300, 1e300, -1e300))
other = st.one_of(
    texts,
    st.sampled_from((True, False, "", [], {}, [[]], [{}], {"": ""}, [1, "a"], ["a", "a"])),
    st.just("a" * 999),
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items: Any = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        yield from _paths(inner, (*path, key))


@st.composite
def mutated(draw: st.DrawFn, tables: Sequence[Any], values: st.SearchStrategy[Any]) -> Any:
    """Return one of the tables with one to three of its values, keys or items changed."""
    table = copy.deepcopy(draw(st.sampled_from(tables)))
    for _ in range(draw(st.integers(1, 3))):
        paths = list(_paths(table))
        if not paths:
            break
        *way, last = draw(st.sampled_from(paths))
        place: Any = table
        for step in way:
            place = place[step]
        kind = draw(st.sampled_from(("replace", "replace", "delete", "insert", "twice")))
        if kind == "delete":
            del place[last]
        elif kind == "replace":
            place[last] = copy.deepcopy(draw(values))
        elif isinstance(place, dict):
            place[draw(texts)] = copy.deepcopy(place[last] if kind == "twice" else draw(values))
        else:
            place.insert(last, copy.deepcopy(place[last] if kind == "twice" else draw(values)))
    return table


@st.composite
def broken(draw: st.DrawFn, files: Sequence[bytes]) -> bytes:
    """Return a file's bytes, cut off, with bytes or lines put in, exchanged or repeated."""
    content = draw(st.sampled_from(files))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        until = min(len(content), at + draw(st.integers(0, 30)))
        more = draw(st.one_of(st.binary(max_size=4), texts.map(encoded)))
        kinds = (content[:at], content[:at] + more + content[at:], content[:at] + content[until:],
                 content[:until] + content[at:], content[:at] + more + content[until:])  # fmt: skip
        content = draw(st.sampled_from(kinds))
    return content


def encoded(text: str) -> bytes:
    """Return a text as bytes; surrogates too, which are not UTF-8 then."""
    return text.encode("utf-8", "surrogatepass")
