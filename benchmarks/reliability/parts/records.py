"""The records of a study, mutated by whoever wrote them, as tables, report, figures and export."""

from __future__ import annotations

import json
import shutil
import tempfile
from pathlib import Path

from hypothesis import strategies as st

from benchmarks.reliability.mutation import large, mutated, other, small
from benchmarks.reliability.parts.commands import SCENARIO
from benchmarks.reliability.tally import Result, Tally, call, each, inside

__all__ = ("CASES", "run")

CASES = 1_000
COMMANDS = (
    ("summary", "study"), ("summary", "study", "--json"), ("report", "study", "--out", "r.md"),
    ("plot", "study", "--figure", "timeline"), ("plot", "study", "--figure", "usage"),
    ("unpack", "study", "unpacked"),
)  # fmt: skip
FILES = ("events.jsonl", "study.json", "rows.csv", "timings.csv")


def _read(file: Path) -> object:
    text = file.read_text()
    if file.suffix == ".json":
        return json.loads(text)
    if file.suffix == ".jsonl":
        return [json.loads(row) for row in text.splitlines()]
    return [row.split(",") for row in text.splitlines()]


def _write(file: Path, value: object) -> None:
    if file.suffix == ".json" or not isinstance(value, list):
        text = json.dumps(value)
    elif file.suffix == ".jsonl":
        text = "".join(json.dumps(item) + "\n" for item in value)
    else:
        rows = [row if isinstance(row, list) else [row] for row in value]
        text = "".join(",".join(map(str, row)) + "\n" for row in rows)
    file.write_text(text, errors="surrogatepass")


def run(cases: int) -> Result:
    """Change one file of a study, and show it by each command."""
    tally = Tally("records of a study")
    with tempfile.TemporaryDirectory() as name, inside(Path(name)):
        Path("s.toml").write_text(SCENARIO)
        done = call(["run", "s.toml", "--out", "study", "--no-figures", "--quiet"])
        assert done.code == 0, done.text
        files = [path for path in sorted(Path("study").rglob("*")) if path.name in FILES]
        files = [path for path in files if path.stat().st_size]
        for file in files:
            kept, before = _read(file), file.read_text()

            def show(value: object, file: Path = file) -> None:
                _write(file, value)
                for words in COMMANDS:
                    tally.commands(words, (file.name, words[0], value))
                for made in ("r.md", "unpacked", "study/figures"):
                    path = Path(made)
                    shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)

            one = mutated([kept], st.one_of(small, large, other))
            each(one, max(1, cases // len(files) // len(COMMANDS)), show)
            file.write_text(before)
    return tally.result("values, keys and items of each of its files, shown by each command")
