"""Scenario files: shipped ones and those of the corpus, with mutations of values and of bytes."""

from __future__ import annotations

import copy
import json
import math
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from benchmarks.reliability.hostile import texts
from benchmarks.reliability.tally import Result, Tally, each, inside
from cl_moe.streams.scenario import load_scenario, read_toml, shipped_scenarios

__all__ = ("CASES", "CORPUS", "run")

CASES = 5_000
CORPUS = Path(__file__).parents[3] / "tests" / "faults" / "corpus"
SHIPPED = ("digits_quick", "unseen_task", "recurring", "low_resource")  # that need no real data
CHECKED = 10  # one in so many files is also checked by the command, which makes its data

small = st.sampled_from((-(2**63), -1, 0, 1, 2, 3, 7, 0.5, -0.5, 1e-30, math.nan, math.inf, -0.0))
large = st.sampled_from((2**31, 2**63, 2**64, 10**300, 1e300, -1e300))
other = st.one_of(
    texts,
    st.sampled_from(
        (True, False, "", [], {}, [[]], [{}], {"": ""}, [1, "a"], ["a", "a"], "a" * 999)
    ),
)


def _paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    if path:
        yield path
    items: Any = value.items() if isinstance(value, dict) else ()
    items = enumerate(value) if isinstance(value, list) else items
    for key, inner in items:
        yield from _paths(inner, (*path, key))


@st.composite
def _mutated(draw: st.DrawFn, tables: list[dict[str, Any]], values: st.SearchStrategy[Any]) -> str:
    """Return a scenario's text with one to three of its values, keys or tables changed."""
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
            place[last] = draw(values)
        elif isinstance(place, dict):
            place[draw(texts)] = place[last] if kind == "twice" else draw(values)
        else:
            place.insert(last, copy.deepcopy(place[last]) if kind == "twice" else draw(values))
    return "".join(f"{_key(key)} = {_toml(value)}\n" for key, value in table.items())


def _key(key: str) -> str:
    return json.dumps(key)


def _toml(value: Any) -> str:
    """Return a value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{_key(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)  # nan and inf are numbers of TOML
    return json.dumps(value)


@st.composite
def _broken(draw: st.DrawFn, files: list[bytes]) -> bytes:
    """Return a file's bytes, cut off, with bytes or lines put in, exchanged or repeated."""
    content = draw(st.sampled_from(files))
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(content)))
        until = min(len(content), at + draw(st.integers(0, 30)))
        more = draw(st.one_of(st.binary(max_size=4), texts.map(_bytes)))
        kinds = (content[:at], content[:at] + more + content[at:], content[:at] + content[until:],
                 content[:until] + content[at:], content[:at] + more + content[until:])  # fmt: skip
        content = draw(st.sampled_from(kinds))
    return content


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogatepass")


def run(cases: int) -> Result:
    """Read mutated scenarios, and check some of them by the command."""
    tally = Tally("scenario files")
    shipped = shipped_scenarios()
    paths = [*(shipped[name] for name in SHIPPED), *sorted(CORPUS.glob("*.toml"))]
    readable = [path for path in paths if not path.name.startswith("bad")]
    tables, files = [read_toml(path) for path in readable], [path.read_bytes() for path in paths]
    with tempfile.TemporaryDirectory() as name, inside(Path(name)):
        file = Path("mutated.toml")

        def read(content: bytes | str) -> None:
            file.write_bytes(_bytes(content) if isinstance(content, str) else content)
            tally.reads(content, lambda: load_scenario(str(file)))

        def check(content: bytes | str) -> None:
            file.write_bytes(_bytes(content) if isinstance(content, str) else content)
            tally.commands(["check", str(file)], content)

        for content in files:
            read(content)
        each(_mutated(tables, st.one_of(small, large, other)), cases // 2, read)
        each(_broken(files), cases // 2, read)
        tiny = [read_toml(path) for path in sorted(CORPUS.glob("tiny*.toml"))]
        each(_mutated(tiny, st.one_of(small, other)), max(1, cases // CHECKED), check)
    return tally.result(
        "mutated values, keys, tables and bytes of scenarios; one in ten is checked"
    )
