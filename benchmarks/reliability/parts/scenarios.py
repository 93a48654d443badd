"""Scenario files: shipped ones and those of the corpus, with mutations of values and of bytes."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from benchmarks.reliability.mutation import broken, encoded, large, mutated, other, small
from benchmarks.reliability.tally import Result, Tally, each, inside
from cl_moe.streams.scenario import load_scenario, read_toml, shipped_scenarios

__all__ = ("CASES", "CORPUS", "run")

CASES = 5_000
CORPUS = Path(__file__).parents[3] / "tests" / "faults" / "corpus"
SHIPPED = ("digits_quick", "unseen_task", "recurring", "low_resource")  # that need no real data
CHECKED = 10  # one in this number of files is also checked by the command, which makes its data


def _written(table: Any) -> str:
    return "".join(f"{json.dumps(key)} = {_toml(value)}\n" for key, value in table.items())


def _toml(value: Any) -> str:
    """Return a value as TOML, tables inline."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, float):
        return repr(value)  # nan and inf are numbers of TOML
    return json.dumps(value)


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
            file.write_bytes(encoded(content) if isinstance(content, str) else content)
            tally.reads(content, lambda: load_scenario(str(file)))

        def check(content: bytes | str) -> None:
            file.write_bytes(encoded(content) if isinstance(content, str) else content)
            tally.commands(["check", str(file)], content)

        for content in files:
            read(content)
        anything = st.one_of(small, large, other)
        each(mutated(tables, anything).map(_written), cases // 2, read)
        each(broken(files), cases // 2, read)
        tiny = [read_toml(path) for path in sorted(CORPUS.glob("tiny*.toml"))]
        some = mutated(tiny, st.one_of(small, other)).map(_written)
        each(some, max(1, cases // CHECKED), check)
    return tally.result("values, keys, tables and bytes of scenarios; one in ten is checked")
