from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cl_moe.analysis.caveats import data_line, few_seeds, remarks, warnings
from cl_moe.analysis.data import StudyData
from cl_moe.analysis.document import report


def test_the_data_really_used_are_said(study: StudyData) -> None:
    assert data_line(study) == ""
    data = replace(study, sources={"mnist": "digits", "fashion": "synthetic (dim 784)"})
    line = "Data: mnist = digits; fashion = synthetic (dim 784)."
    assert line in remarks(data)
    assert report(data).index(line) < report(data).index("4 methods on")


@pytest.mark.parametrize(
    ("value", "grid", "said"),
    [
        (100, [1, 10, 100], ["ewc: strength = 100 was chosen, the highest value of its grid "
                             "(1 to 100); the best value may lie outside."]),
        (0.5, [0.5, 1], ["ewc: strength = 0.5 was chosen, the lowest value of its grid "
                         "(0.5 to 1); the best value may lie outside."]),
        (10, [1, 10, 100], []),
        (1, [1], []),
        (True, [False, True], []),
        ("a", ["a", "b"], []),
        ([8], [[8], [16]], []),
    ],
)  # fmt: skip
def test_a_choice_at_the_edge_of_its_grid_is_a_warning(
    study: StudyData, value: Any, grid: list[Any], said: list[str]
) -> None:
    assert warnings(replace(study, tuned={"ewc": {"strength": (value, grid)}})) == said


def test_a_method_at_chance_is_a_warning(study_of: Callable[..., StudyData]) -> None:
    nan = float("nan")
    ends = [[0.9, nan, nan], [0.9, 0.9, nan], [0.115, 0.125, 0.05]]
    fine = [[0.9, nan, nan], [0.9, 0.9, nan], [0.9] * 3]
    data = study_of({"dense": [ends] * 3, "moe": [fine] * 3})
    assert warnings(data) == ["dense ends at chance on 2 of 3 tasks (within 2 points of guessing)."]
    assert "## Warnings\n\n- dense ends at chance" in report(data)


def test_a_task_of_one_class_is_not_at_chance(study_of: Callable[..., StudyData]) -> None:
    data = study_of({"dense": [[[1.0]]] * 3})
    assert warnings(replace(data, tasks=data.tasks.assign(n_classes=1))) == []


@pytest.mark.parametrize(("seeds", "said"), [(1, "1 seed: no"), (2, "2 seeds: no"), (3, "")])
def test_fewer_than_three_seeds_are_a_warning(
    study_of: Callable[..., StudyData], seeds: int, said: str
) -> None:
    found = warnings(study_of({"dense": [[[0.5]]] * seeds, "moe": [[[0.6]]] * seeds}))
    assert [text.startswith(said) for text in found] == ([True] if said else [])


def test_pairs_of_tasks_alone_have_no_seeds_to_warn_of(paired_study: StudyData) -> None:
    assert few_seeds(replace(paired_study, rows=paired_study.rows[:0])) == []


def test_the_verdict_stands_first_below_the_table(study: StudyData) -> None:
    assert remarks(study)[0].startswith("Verdict: experts leads ")
