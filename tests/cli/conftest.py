"""A scenario file to run, and a way to call the command line."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import pytest

SCENARIO = """
name = "tiny"
seeds = 2
baseline = "dense"

[sources.blobs]
type = "synthetic"
dim = 6
classes = 2

[[tasks]]
name = "a"
source = "blobs"
per_class = 12
test_per_class = 10

[[tasks]]
name = "b"
source = "blobs"
per_class = 12
test_per_class = 10
group = "late"

[network]
hidden = [8]

[training]
epochs = 1
min_steps = 0

[[methods]]
name = "dense"

[[methods]]
name = "ewc"
"""


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    out: str
    err: str


Call = Callable[..., Said]


@pytest.fixture
def scenario(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A scenario file of two tasks and two methods, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("CL_MOE_DATA_DIR", raising=False)
    path = tmp_path / "tiny.toml"
    path.write_text(SCENARIO)
    return path


@pytest.fixture
def call(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Call:
    """Call ``cl-moe`` in this process."""
    from cl_moe.cli import main

    def run(*words: str | Path) -> Said:
        monkeypatch.setattr(sys, "argv", ["cl-moe", *map(str, words)])
        monkeypatch.setattr(sys, "path", list(sys.path))  # main adds the current folder
        capsys.readouterr()
        code = 0
        try:
            main()
        except SystemExit as stop:
            code = stop.code if isinstance(stop.code, int) else 0
        said = capsys.readouterr()
        return Said(code, said.out, said.err)

    return run
