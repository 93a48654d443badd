"""Parts in a package of their own: installed, listed, checked, run by name, and reported."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pandas as pd
import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "examples" / "third_party"
HOME = "cl_moe_parts_example"
PARTS = {
    "gates": ("cosine", f"{HOME}.gate:CosineGate"),
    "growth": ("expert_gate", f"{HOME}.growth:ExpertGate"),
    "metrics": ("worst_case_accuracy", f"{HOME}.metric:worst_case_accuracy"),
    "figures": ("worst_case", f"{HOME}.figure:worst_case"),
}
METHODS = "".join(
    f'\n[[methods]]\nname = "{name}"\ntype = "moe"\ngate = "{PARTS["gates"][which]}"\n'
    f'growth = "{PARTS["growth"][which]}"\n'
    for which, name in enumerate(("by_name", "by_reference"))
)
SMALL = ["training.epochs=1", "training.min_steps=0", "probes=[]"]

# Several commands in one process: what takes time is importing.
SCRIPT = """
import json, sys
from cl_moe.cli import main
for words in json.loads(sys.argv[1]):
    sys.argv = ["cl-moe", *words]
    code = 0
    try:
        main()
    except SystemExit as stop:
        code = stop.code or 0
    print("EXIT", code, flush=True)
"""


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    out: str
    code: int


def call(commands: list[list[str]], path: Path, folder: Path) -> list[Said]:
    """Run commands in a process that finds packages in ``path``."""
    found = {"PYTHONPATH": os.pathsep.join([str(path), str(ROOT)]), "MPLBACKEND": "Agg"}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT, json.dumps(commands)],
        capture_output=True, text=True, cwd=folder, env={**os.environ, **found}, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    parts = done.stdout.split("EXIT ")
    codes = [int(part.split("\n")[0]) for part in parts[1:]]
    texts = [parts[0], *(part.partition("\n")[2] for part in parts[1:-1])]
    assert len(codes) == len(commands), done.stderr
    return [Said(*both) for both in zip(texts, codes, strict=True)]


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder that the package is installed into, from a copy: building leaves files behind."""
    pytest.importorskip("setuptools")
    folder = tmp_path_factory.mktemp("third_party")
    left = shutil.ignore_patterns("build", "*.egg-info", "__pycache__")
    shutil.copytree(PACKAGE, folder / "source", ignore=left)
    target = folder / "installed"
    options = ["--no-build-isolation", "--no-deps", "--no-index", "--disable-pip-version-check"]
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", *options, "--target", target, "./source"],
        check=True, cwd=folder, capture_output=True,
    )  # fmt: skip
    return target


class Done(NamedTuple):
    """What was printed of every part, and the folder of a study."""

    listed: list[Said]
    checked: list[Said]
    study: Path


@pytest.fixture(scope="module")
def done(installed: Path, tmp_path_factory: pytest.TempPathFactory) -> Done:
    """Every part listed and checked; a small run of a shipped scenario, with both their names."""
    folder = tmp_path_factory.mktemp("study")
    text = (ROOT / "scenarios" / "digits_quick.toml").read_text(encoding="utf-8")
    (folder / "mine.toml").write_text(text + METHODS, encoding="utf-8")
    settings = [
        *SMALL,
        *(f"tasks.{k}.{key}" for k in range(4) for key in ("per_class=6", "test_per_class=5")),
    ]
    sets = [word for setting in settings for word in ("--set", setting)]
    methods = ["--methods", "dense,by_name,by_reference", "--seeds", "1", "--out", "study"]
    commands = [
        *(["list", kind] for kind in PARTS),
        *(["check", reference] for _, reference in PARTS.values()),
        ["run", "mine.toml", *methods, *sets, "--no-figures"],
        ["report", "study"],
        ["plot", "study", "--figure", "worst_case"],
    ]
    said = call(commands, installed, folder)
    assert [one.code for one in said[-3:]] == [0, 0, 0], said
    return Done(said[: len(PARTS)], said[len(PARTS) : -3], folder / "study")


@pytest.fixture(scope="module")
def study(done: Done) -> Path:
    """The study's folder."""
    return done.study


def test_they_are_listed_and_pass_the_checks_of_our_own(done: Done) -> None:
    for (name, _), listed in zip(PARTS.values(), done.listed, strict=True):
        assert name in [line.split()[0] for line in listed.out.splitlines()]
    for (_, reference), checked in zip(PARTS.values(), done.checked, strict=True):
        assert checked.code == 0, checked.out
        assert f"'{reference}': " in checked.out.splitlines()[-1]


def test_a_study_takes_them_by_either_name(study: Path) -> None:
    rows = {
        name: pd.read_csv(study / "runs" / name / "seed_0" / "rows.csv").drop(columns="method")
        for name in ("by_name", "by_reference")
    }
    pd.testing.assert_frame_equal(rows["by_name"], rows["by_reference"])
    events = study / "runs" / "by_name" / "seed_0" / "events.jsonl"
    kinds = {json.loads(line)["kind"] for line in events.read_text().splitlines()}
    assert kinds <= {"fresh", "reuse"}


def test_the_metric_and_the_figure_are_reported(study: Path) -> None:
    assert (study / "figures" / "worst_case.png").stat().st_size > 0
    page = (study / "report.html").read_text(encoding="utf-8")
    assert "<th>worst-case accuracy</th>" in page
    assert "worst case: worst-case accuracy (open) and average accuracy at the end" in page


def test_without_being_installed_they_are_named(study: Path, tmp_path: Path) -> None:
    """From the source alone, which declares nothing: both are asked for by their references."""
    metric, figure = PARTS["metrics"][1], PARTS["figures"][1]
    report = ["report", str(study), "--out", "own.html"]
    table, plain, own, drawn, wrong = call(
        [
            ["summary", str(study), "--json", "--metric", metric],
            report,
            [*report, "--metric", metric, "--figure", figure],
            ["plot", str(study), "--out", "figures", "--figure", figure],
            ["summary", str(study), "--metric", figure],
        ],
        PACKAGE,
        tmp_path,
    )
    assert (table.code, plain.code, own.code, drawn.code, wrong.code) == (0, 0, 0, 0, 2)
    records = {
        (r["method"], r["metric"]): r["mean"] for r in json.loads(table.out) if r["group"] is None
    }
    rows = pd.read_csv(study / "runs" / "dense" / "seed_0" / "rows.csv")
    rows = rows[(rows["metric"] == "accuracy") & rows["epoch"].isna()]
    since = rows.pivot_table(index="after_task", columns="task", values="value", sort=False)
    worst = [since.iloc[min(k + 1, len(since) - 1) :, k].min() for k in range(len(since))]
    assert records["dense", metric] == pytest.approx(sum(worst) / len(worst))
    assert "worst-case accuracy" in (tmp_path / "own.html").read_text(encoding="utf-8")
    assert [path.name for path in (tmp_path / "figures").iterdir()] == [
        "cl_moe_parts_example_figure_worst_case.png"
    ]
