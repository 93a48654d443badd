"""Data files: tables, arrays and events with hostile cells and bytes."""

from __future__ import annotations

import io
import tempfile
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from benchmarks.reliability.hostile import texts
from benchmarks.reliability.tally import Result, Tally, each, inside
from cl_moe.runs.folder.columns import ROW_COLUMNS
from cl_moe.runs.folder.files import read_json, read_json_lines, read_table
from cl_moe.streams.rows import read_rows
from cl_moe.streams.scenario import ScenarioSpec

__all__ = ("CASES", "run")

CASES = 6_000

cells = st.one_of(
    st.sampled_from(("1", "2.5", "-3", "a", "b", "", " ", "nan", "inf", "1e999", "1e30", "1_0",
                     '"', '"a,b"', "=1+1", "\u0661", "1,5")),
    texts,
)  # fmt: skip
names = st.sampled_from(("x0", "x1", "label", "x0", ""))
separators = st.sampled_from((",", ";", "\t", "\n", "\r", "\r\n"))
rows = st.lists(st.lists(cells, max_size=4).map(",".join), max_size=8)
tables = st.builds(
    lambda head, body, end: end.join([",".join(head), *body]).encode("utf-8", "surrogatepass"),
    st.lists(names, max_size=4), rows, st.sampled_from(("\n", "\r\n", "\r")),
)  # fmt: skip
numbered = st.lists(st.lists(st.floats(width=32).map(str), min_size=3, max_size=3), max_size=6)
numeric = numbered.map(
    lambda found: "\n".join(["x0,x1,label", *map(",".join, found)]).encode("utf-8")
)
contents = st.one_of(tables, numeric, st.binary(max_size=80), texts.map(
    lambda text: text.encode("utf-8", "surrogatepass")))  # fmt: skip
values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), texts),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(texts, inner, max_size=3)),
    max_leaves=6,
)


@st.composite
def arrays(draw: st.DrawFn) -> bytes:
    """Return an archive of arrays of hostile types and shapes."""
    kinds = ("f4", "f8", "i1", "u8", "?", "c8", "U3", "M8[s]")
    found = {}
    for name in draw(st.lists(st.sampled_from(("x", "y", "z")), unique=True, max_size=3)):
        shape = draw(st.lists(st.integers(0, 3), max_size=4))
        array = np.zeros(shape, dtype=np.dtype(draw(st.sampled_from(kinds))))
        if array.dtype.kind == "f" and array.size:
            array.flat[0] = draw(st.sampled_from((np.nan, np.inf, 1e30, 0.0)))
        found[name] = array
    file = io.BytesIO()
    np.savez(file, allow_pickle=False, **found)
    content = file.getvalue()
    return content[: draw(st.integers(0, len(content)))] if draw(st.booleans()) else content


SOURCES = (
    {"type": "csv", "path": "data.csv", "label": "label"},
    {"type": "csv", "path": "data.csv", "label": "label", "objective": "regression"},
    {"type": "npz", "path": "data.npz"},
)


def run(cases: int) -> Result:
    """Read hostile files by the sources, by ``cl-moe predict``, and as the rows of a study."""
    from json import dumps

    tally = Tally("data files")
    specs = [
        ScenarioSpec.from_dict(
            {"name": "t", "sources": {"d": dict(source)}, "tasks": [{"name": "a", "source": "d"}]}
        )
        for source in SOURCES
    ]
    with tempfile.TemporaryDirectory() as name, inside(Path(name)):
        table, archive = Path("data.csv"), Path("data.npz")

        def read_text(content: bytes) -> None:
            table.write_bytes(content)
            tally.reads(content, lambda: read_rows(table, (2,), "label"))
            tally.reads(content, lambda: read_table(table, ROW_COLUMNS))
            tally.reads(content, lambda: read_json_lines(table))
            for spec in specs[:2]:
                tally.reads(content, lambda spec=spec: spec.build_stream(0, Path()))  # type: ignore[misc]

        def read_value(value: object) -> None:
            table.write_text(dumps(value))
            tally.reads(value, lambda: read_json(table))

        def read_arrays(content: bytes) -> None:
            archive.write_bytes(content)
            tally.reads(content, lambda: read_rows(archive, (2,)))
            tally.reads(content, lambda: specs[2].build_stream(0, Path()))

        each(contents, max(1, cases // 8), read_text)
        each(values, max(1, cases // 8), read_value)
        each(arrays(), max(1, cases // 8), read_arrays)
    return tally.result("tables, archives of arrays and JSON with hostile cells, types and bytes")
