from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd
import pytest

from cl_moe.analysis import summary_records
from cl_moe.analysis.best import clear_best
from cl_moe.analysis.caveats import remarks, warnings
from cl_moe.analysis.data import StudyData
from cl_moe.analysis.divergence import divergence_warnings, divergences
from cl_moe.analysis.document import report
from cl_moe.analysis.stats import intervals, summary
from cl_moe.analysis.tables import table_data

NAN = float("nan")
BAD = [[0.5, NAN], [0.5, 0.5]]
GOOD = [[0.8, NAN], [0.8, 0.8]]


def with_loss(data: StudyData, *losses: tuple[str, int, int, str, float]) -> StudyData:
    """Return a study with loss rows: method, seed, after_task, task, value."""
    columns = ["method", "seed", "after_task", "task", "value"]
    rows = pd.DataFrame(list(losses), columns=columns).assign(metric="loss", epoch=NAN)
    return replace(data, rows=pd.concat([data.rows, rows], ignore_index=True))


@pytest.fixture
def data(study_of: Callable[..., StudyData]) -> StudyData:
    """Of method ``b`` the second of three runs diverged, in the first task."""
    made = study_of({"a": [GOOD] * 3, "b": [GOOD, BAD, GOOD]})
    first, second = made.stream_tasks
    return with_loss(
        made,
        ("a", 0, 0, first, 0.4),
        ("b", 1, 1, second, NAN),
        ("b", 1, 1, first, NAN),
        ("b", 1, 0, first, float("inf")),
        ("b", 2, 1, first, 0.5),
    )


def test_the_first_task_is_named(data: StudyData) -> None:
    (run,) = divergences(data)
    assert run == ("b", 1, float("inf"), f"after task '{data.stream_tasks[0]}'")
    (said,) = divergence_warnings(data)
    assert said.startswith(
        f"b diverged in 1 of 3 seeds (seed 1: loss inf after task '{data.stream_tasks[0]}'): "
    )


def test_a_loss_before_anything_is_learned(data: StudyData) -> None:
    early = with_loss(data, ("a", 0, -1, data.stream_tasks[0], NAN))
    assert divergences(early)[0] == (
        "a",
        0,
        pytest.approx(NAN, nan_ok=True),
        "before the first task",
    )


def test_it_is_told_wherever_results_are(data: StudyData) -> None:
    (said,) = divergence_warnings(data)
    shown = table_data(data)
    assert shown.columns[0] == "diverged"
    assert [row[0].text for row in shown.cells] == ["", "1 of 3 seeds"]
    assert "Diverged: the loss is not finite" in shown.note
    assert f"Warning: {said}" in remarks(data)
    assert said in report(data)
    values = {r["method"]: r["mean"] for r in summary_records(data) if r["metric"] == "diverged"}
    assert values == {"a": 0.0, "b": pytest.approx(1 / 3)}


def test_where_nothing_diverged_nothing_is_told(study: StudyData) -> None:
    finite = with_loss(study, ("dense", 0, 0, study.stream_tasks[0], 1e30))
    assert divergences(finite) == []
    assert "diverged" not in table_data(finite).columns
    assert "iverged" not in table_data(finite).note
    assert "diverged" not in set(summary(finite)["metric"])


def test_what_diverged_is_not_the_best(study_of: Callable[..., StudyData]) -> None:
    """Answers that are always the same are never forgotten."""
    little, more = (
        [[[0.8 + k / 100, NAN], [0.8 + k / 100 - lost, 0.8]] for k in range(3)]
        for lost in (0.2, 0.3)
    )
    made = study_of({"a": little, "b": more, "c": [BAD] * 3})
    means = intervals(summary(made))
    found = {m: means[m, "forgetting", None] for m in made.method_names}
    assert clear_best(made, found, "forgetting", None) == "c"
    seeds = [("c", seed, 0, made.stream_tasks[0], NAN) for seed in range(3)]
    assert clear_best(with_loss(made, *seeds), found, "forgetting", None) == "a"


def test_what_diverged_is_not_also_at_chance(study_of: Callable[..., StudyData]) -> None:
    made = study_of({"a": [[[0.1, NAN], [0.1, 0.1]]]})
    assert "at chance" in " ".join(warnings(made))
    lost = with_loss(made, ("a", 0, 0, made.stream_tasks[0], NAN))
    assert "at chance" not in " ".join(warnings(lost))


def test_pairs_that_diverged_are_told(study: StudyData) -> None:
    first, second, *_ = study.stream_tasks
    pairs = pd.DataFrame(
        [("dense", 0, first, second, NAN), ("dense", 0, second, first, 0.5)],
        columns=["method", "seed", "after", "task", "value"],
    )
    (said,) = divergence_warnings(replace(study, pairs=pairs))
    assert f"1 of 2 runs of a pair (seed 0: task '{second}' after '{first}')" in said
