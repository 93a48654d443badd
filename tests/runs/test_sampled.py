"""Evaluation of a sample of the earlier tasks."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import cl_moe
from cl_moe.analysis.metrics.accuracy import (
    average_incremental_accuracy,
    sampled_incremental_accuracy,
)
from cl_moe.errors import InputError
from cl_moe.runs.folder.loading import load_study
from cl_moe.runs.outcome import Study
from cl_moe.streams.stream import TaskStream
from cl_moe.testing.learning import toy_task

STREAM = TaskStream([toy_task(position) for position in range(7)], "seven")


def run(evaluate: str, **options: Any) -> Study:
    training = {"epochs": 1, "min_steps": 0, "evaluate": evaluate}
    return cl_moe.run(STREAM, ["dense"], seeds=1, training=training, progress=False, **options)


def test_a_sample_of_earlier_tasks_is_evaluated_and_after_the_last_task_all(tmp_path):
    study = run("sample:2", out=tmp_path / "study")
    rows = study.rows[(study.rows["metric"] == "accuracy") & study.rows["epoch"].isna()]
    counts = rows.groupby("after_task")["task"].nunique()
    assert counts.tolist() == [1, 2, 3, 3, 3, 3, 7]
    for k, members in rows.groupby("after_task")["task"]:
        assert f"task{k}" in set(members)
    drawn = [frozenset(tasks) - {f"task{k}"} for k, tasks in rows.groupby("after_task")["task"]]
    assert len(set(drawn[2:6])) > 1, "each time another sample"
    assert load_study(tmp_path / "study").sampled
    assert "random sample of the earlier ones" in study.table()


def test_values_are_those_of_a_full_evaluation():
    keys = ["after_task", "task", "metric"]
    studies = run("sample:2"), run("all")
    sample, full = (study.rows[study.rows["epoch"].isna()] for study in studies)
    both = sample.merge(full, on=keys, suffixes=("", "_full"))
    assert len(both) == len(sample)
    assert np.array_equal(both["value"], both["value_full"])


def test_the_estimate_is_unbiased():
    draw = np.random.default_rng(0)
    a = np.tril(draw.random((12, 12)))
    a[np.triu_indices(12, 1)] = np.nan
    exact, found = average_incremental_accuracy(a), []
    for _ in range(3000):
        seen = a.copy()
        for k in range(4, 12):
            hidden = draw.permutation(k)[3:]
            seen[k, hidden] = np.nan
        found.append(sampled_incremental_accuracy(seen))
    error = np.std(found) / np.sqrt(len(found))
    assert abs(np.mean(found) - exact) < 4 * error
    assert np.std(found) > 0
    assert sampled_incremental_accuracy(a) == pytest.approx(exact)


@pytest.mark.parametrize("word", ["some", "sample", "sample:0", "sample:-1", "sample:x"])
def test_other_words_are_refused(word):
    with pytest.raises(InputError, match="neither 'all' nor 'sample:N' with N from 1"):
        run(word)


def test_figures_are_drawn(tmp_path):
    assert run("sample:2", out=tmp_path / "study").plot()
