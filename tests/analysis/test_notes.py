from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.notes import averaged, table_note


def test_an_average_says_of_which_kinds_of_tasks_it_is(study: StudyData) -> None:
    kinds = "Averages are means of 6 tasks: 3 rich, 2 low resource, 1 unrelated."
    assert averaged(study) == kinds
    assert kinds in table_note(study, {"t"}, has_groups=True)


def test_tasks_without_a_group_are_counted(study: StudyData) -> None:
    groups = [None if g == "low_resource" else g for g in study.tasks["group"]]
    data = replace(study, tasks=study.tasks.assign(group=groups))
    assert averaged(data).endswith("6 tasks: 3 rich, 1 unrelated, 2 of no group.")
    none = replace(study, tasks=study.tasks.assign(group=None))
    assert averaged(none) == "Averages are means of 6 tasks."


@pytest.mark.parametrize(("seeds", "few"), [(1, True), (2, True), (3, False)])
def test_few_seeds_are_said_in_place_of_a_star(
    study_of: Callable[..., StudyData], seeds: int, few: bool
) -> None:
    note = table_note(study_of({"dense": [[[0.5]]] * seeds}), {"t"}, has_groups=False)
    assert ("fewer than 3" in note) == few
    assert ("* significantly better than every other" in note) == (not few)
