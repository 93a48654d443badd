"""A scenario with tables of classes, real numbers and labels: from TOML to report."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cl_moe.analysis.document import report
from cl_moe.errors import InputError
from cl_moe.runs.folder.loading import load_study
from cl_moe.runs.study import run
from cl_moe.streams.scenario import load_scenario
from cl_moe.streams.sizes import scenario_sizes, stream_sizes

SCENARIO = """
name = "rated"
seeds = 1
methods = ["dense", "single_task", "ridge"]

[sources.rated]
type = "csv"
path = "{folder}/rated.csv"
label = "similarity"
features = ["x0", "x1", "x2"]
objective = "regression"

[sources.tags]
type = "csv"
path = "{folder}/rated.csv"
label = ["red", "blue"]
features = ["x0", "x1", "x2"]
objective = "multilabel"

[[tasks]]
name = "rated"
source = "rated"

[[tasks]]
name = "few"
from = "rated"
per_class = 30
operators = ["permute_pixels"]

[[tasks]]
name = "tags"
source = "tags"

[[probes]]
name = "new"
source = "rated"
per_class = [8, 64]

[network]
hidden = [8]

[training]
epochs = 2
learning_rate = 0.01
"""


@pytest.fixture
def scenario(tmp_path: Path) -> Path:
    draw = np.random.default_rng(0)
    x = draw.normal(size=(150, 3))
    y = x @ draw.normal(size=3) + 0.1 * draw.normal(size=150)
    lines = [
        f"{a},{b},{c},{score},{int(score > 0)},{int(a > 0.5)}"
        for (a, b, c), score in zip(x.tolist(), y.tolist(), strict=True)
    ]
    table = "\n".join(["x0,x1,x2,similarity,red,blue", *lines])
    (tmp_path / "rated.csv").write_text(table, encoding="utf-8")
    path = tmp_path / "rated.toml"
    path.write_text(SCENARIO.format(folder=tmp_path.as_posix()), encoding="utf-8")
    return path


def test_a_scenario_of_regression_and_labels_is_run(scenario: Path, tmp_path: Path) -> None:
    run(str(scenario), out=tmp_path / "out")
    data = load_study(tmp_path / "out")
    assert data.scores == {"rated": "r2", "few": "r2", "tags": "f1", "new@8": "r2", "new@64": "r2"}
    metrics = data.rows.groupby("task")["metric"].agg(set)
    assert {"r2", "rmse", "loss"} <= metrics["rated"]
    assert {"f1", "exact_match", "loss"} <= metrics["tags"]
    assert not {"accuracy"} & set(data.rows["metric"])
    curve = data.rows[(data.rows["task"] == "rated") & data.rows["epoch"].notna()]
    assert set(curve["metric"]) == {"r2"}  # learning curves are of the score
    ends = {run: a_TT[-1] for run, a_TT in data.accuracies().items()}
    assert (ends["ridge", 0] > 0.8).all()
    text = report(data)
    assert "average score (R2, F1)" in text
    assert "| rated | | | | 120 | 30 | 1 | regression |" in text.replace("  ", " ")


def test_its_sizes_are_known_before_it_is_built(scenario: Path) -> None:
    spec = load_scenario(scenario).resolve()
    assert scenario_sizes(spec) == stream_sizes(spec.build_stream(seed=0))


def test_classes_cannot_be_chosen_where_there_are_none(scenario: Path) -> None:
    text = scenario.read_text().replace('source = "tags"', 'source = "tags"\nclasses = 2')
    scenario.write_text(text)
    with pytest.raises(InputError, match="task 'tags': classes are chosen, but source 'tags' is"):
        load_scenario(scenario).resolve().build_stream(seed=0)
