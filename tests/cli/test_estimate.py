from __future__ import annotations

import json
from pathlib import Path

import pytest

from cl_moe.cli.estimate import lines
from cl_moe.runs.estimates.calibration import Machine
from cl_moe.runs.estimates.cost_model import Spread
from cl_moe.runs.estimates.estimate import Estimate, MethodEstimate, Work

SCENARIO = """
seeds = 2
[sources.blobs]
type = "synthetic"
dim = 6
classes = 2
[generate]
sources = ["blobs"]
classes = 2
test_per_class = 3
phases = [{ tasks = 3000, per_class = [4] }]
[network]
hidden = [8]
"""


def test_a_long_stream_is_estimated_in_full(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from cl_moe.cli import app

    (tmp_path / "long.toml").write_text(SCENARIO)
    words = ["estimate", str(tmp_path / "long.toml"), "--methods", "dense,moe", "--jobs", "2"]
    app([*words, "--set", "training.min_steps=0", "--json"], standalone_mode=False)
    found = json.loads(capsys.readouterr().out)
    assert found["work"]["tasks"] == 3000
    assert found["work"]["steps"] == 3000 * 5
    assert [method["runs"] for method in found["methods"]] == [2, 2]
    assert found["methods"][1]["experts"]["high"] > found["methods"][1]["experts"]["low"]
    assert all(method["seconds"]["mid"] > 0 for method in found["methods"])


def test_what_is_said_of_a_method_that_no_study_has_measured() -> None:
    work = Work(3, 1, 3, 1200, 9, 9, (0, 0), 0)
    second = Spread(1.0, 2.0, 4.0)
    method = MethodEstimate("mine", 5, second, Spread(1, 2, 3), 3 * 2**30, measured=False)
    text = lines("s", Estimate((method,), work, 2, second, 2**40, Machine(*[0.0] * 9)))
    assert text[0] == "s: 3 tasks and 1 probe, 1,200 steps of a dense network"
    assert " ".join(text[2].split()) == "mine * 5 2.0 s 1.0 s 4.0 s 1 to 3 3.0 GiB"
    assert text[3] == "in all, 2 runs at once: 2.0 s (1.0 s to 4.0 s), 1.0 TiB of memory"
    assert text[4].startswith("* no measurements of this type")
