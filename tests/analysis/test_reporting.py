from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.document import report
from cl_moe.analysis.reporting import sections
from cl_moe.analysis.tables import TableData


def test_the_report_says_what_ran_what_came_out_and_where_it_is_behind(study: StudyData) -> None:
    text = report(study)
    for heading in (
        "# made up",
        "## What was run",
        "## Results",
        "## Differences to dense, paired by seed",
        "## Where experts is behind",
        "## Costs",
        "## Figures",
        "## Decisions of experts, seed 0",
    ):
        assert f"\n{heading}\n" in f"\n{text}"
    assert "4 methods on 6 tasks and 4 unseen" in text
    assert "against single_task, average accuracy, unrelated: -0.9 points" in text
    assert "- task 2 'mnist-inverted': matched of the path of 'mnist'" in text
    assert "intransigence: needs" in text
    assert "| decisions' CPU time (s) | decisions' share of training time |" in text
    assert text.count("Peak memory is the maximum") == 1
    assert "(not drawn: needs pairs of tasks" in text


def test_transfer_matrices_are_in_the_report(paired_study: StudyData) -> None:
    text = report(paired_study)
    assert "## Transfer matrix of experts" in text
    assert "| 0 mnist |  | +10.0 | +10.0 | +10.0 | +10.0 | +10.0 |" in text


def test_an_interrupted_study_says_what_is_missing(study: StudyData) -> None:
    rows = study.rows
    cut = replace(study, rows=rows[(rows["method"] != "ewc") | (rows["seed"] == 0)])
    assert "Incomplete: ewc has 1 of 5 seeds." in report(cut)


def test_nothing_lost_is_said_as_plainly(study_of: Callable[..., StudyData]) -> None:
    text = report(study_of({"moe": [[[0.9]]], "dense": [[[0.5]]]}))
    assert "Its mean is behind in no comparison." in text


def test_a_study_of_one_method_compares_nothing(study_of: Callable[..., StudyData]) -> None:
    text = report(study_of({"dense": [[[0.9]]]}))
    assert "is behind" not in text
    assert "Decisions" not in text


def test_a_long_run_lists_its_first_decisions(study: StudyData) -> None:
    first = study.events[0]
    tasks = study.tasks
    many = [{**first, "task": k % 6, "sentence": f"decision {k}"} for k in range(60)]
    text = report(replace(study, events=many, tasks=tasks))
    assert "and 20 more" in text
    assert "60 decisions: fresh 60." in text


def test_a_report_that_cannot_be_written_leaves_nothing_behind(
    study: StudyData, tmp_path: Path
) -> None:
    (tmp_path / "folder.md").mkdir()
    with pytest.raises(OSError, match=r"folder\.md"):
        report(study, tmp_path / "folder.md")
    assert [path.name for path in tmp_path.iterdir()] == ["folder.md"]


def test_writing_markdown_leaves_nothing_else_behind(study: StudyData, tmp_path: Path) -> None:
    path = report(study, tmp_path / "new" / "report.md")
    assert path.read_text(encoding="utf-8") == report(study)
    assert [p.name for p in path.parent.iterdir()] == ["report.md"]


def test_the_verdict_stands_below_the_table(study: StudyData) -> None:
    results = next(section for section in sections(study) if section.title == "Results")
    assert isinstance(results.blocks[0], TableData)
    assert str(results.blocks[1]).startswith("Verdict: experts leads over all tasks (+")
