"""Gains by kind of task: results/kinds.py."""

from __future__ import annotations

import importlib
import sys
from pathlib import Path

import pandas as pd
import pytest

from cl_moe import load_study
from cl_moe.analysis.data import StudyData
from cl_moe.analysis.frames import ROW_COLUMNS, TASK_COLUMNS
from cl_moe.runs.folder.exported import is_exported

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "results"

sys.path.insert(0, str(RESULTS))  # as `python results/headline.py` has it
kinds = importlib.import_module("kinds")

ACCURACIES = {
    "moe": {"a": (0.9, 0.9, 0.9), "b": (0.8, 0.8, 0.5), "c": (0.6, 0.6, 0.6)},
    "single_task": {"a": (0.9, 0.9, 0.9), "b": (0.7, 0.7, 0.7), "c": (0.5, 0.4, 0.6)},
    "ridge": {"a": (0.9, 0.9, 0.9), "b": (0.5, 0.5, 0.5), "c": (0.5, 0.6, 0.7)},
}


def study(name: str = "made", without: str = "") -> StudyData:
    """Return a study of three tasks: without relation, turned, and of new classes."""
    relations = {"a": None, "b": "rotated input, low resource", "c": "new classes"}
    tasks = [(n, t, None, None, relations[t], 100, 200, 2, False) for n, t in enumerate("abc")]
    rows = [
        (method, seed, 2, task, "accuracy", value)
        for method, of_task in ACCURACIES.items()
        if method != without
        for task, values in of_task.items()
        for seed, value in enumerate(values)
    ]
    methods = pd.DataFrame({"method": list(ACCURACIES), "type": list(ACCURACIES)})
    return StudyData(
        pd.DataFrame(rows, columns=list(ROW_COLUMNS)),
        pd.DataFrame(tasks, columns=list(TASK_COLUMNS)),
        methods[methods["method"] != without],
        name=name,
    )


def test_moe_is_compared_with_the_best_that_learns_each_task_alone():
    pairs = kinds.pairs_of(study())
    assert [pair.task for pair in pairs] == ["b"] * 3 + ["c"] * 3
    assert [pair.alone for pair in pairs] == [0.7, 0.7, 0.7, 0.5, 0.6, 0.7]  # ridge for c
    assert kinds.pairs_of(study(without="moe")) == []


def test_kinds_have_the_same_weight():
    lines = [line for line in kinds.page({"made": study()}).splitlines() if line.startswith("| ")]
    assert lines[1:] == [
        "| same labels, inputs turned or inverted | 1 | 3 | +0.0 ± 43.0 | 1 of 3 |",
        "| new classes of a known domain | 1 | 3 | +0.0 ± 24.8 | 0 of 3 |",
        "| **all kinds** | 2 | 3 | +0.0 ± 32.9 | 1 of 6 |",
    ]
    assert "made, b, seed 2: 50.0 against 70.0" in kinds.page({"made": study()})


@pytest.mark.parametrize(
    ("relation", "derived", "kind"),
    [
        ("inverted input, low resource", True, "same labels, inputs turned or inverted"),
        ("noisy input, low resource", True, "same labels, inputs shifted"),
        ("permuted labels, low resource", True, "labels permuted"),
        ("low resource", True, "recurring"),
        ("low resource", False, None),
        ("new classes", False, "new classes of a known domain"),
        ("permuted pixels", True, "unrelated"),
        ("unrelated", False, "unrelated"),
        (None, False, None),
        (float("nan"), True, None),
    ],
)
def test_kinds_follow_from_relations(relation, derived, kind):
    assert kinds.kind_of(relation, derived) == kind


def test_the_page_and_the_readme_are_those_that_make_claims_writes():
    names = sorted(p.name for p in RESULTS.iterdir() if p.is_dir() and is_exported(p))
    studies = {name: load_study(RESULTS / name) for name in names}
    assert kinds.page(studies) == (RESULTS / "kinds.md").read_text("utf-8"), "run `make claims`"
    assert kinds.sentence(studies) in (ROOT / "README.md").read_text("utf-8"), "run `make claims`"
