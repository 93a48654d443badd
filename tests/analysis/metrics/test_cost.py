from __future__ import annotations

import math
from dataclasses import replace

import pandas as pd
import pytest

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.metrics import compute
from cl_moe.analysis.metrics.cost import costs, decision_share, decisions


def test_sizes_are_the_last_operations_the_mean_and_steps_the_sum() -> None:
    values = {
        "parameters": [3.0, 9.0],
        "flops_predict": [2.0, 4.0],
        "experts": [1.0, 2.0],
        "steps": [10.0, 20.0],
    }
    rows = pd.DataFrame(
        [(k, name, v) for name, pair in values.items() for k, v in enumerate(pair)],
        columns=["after_task", "metric", "value"],
    )
    found = costs(rows.iloc[::-1], pd.DataFrame({"after_task": []}), 2)
    assert found == {"parameters": 9, "flops_predict": 3, "experts": 2, "steps": 30}


def test_probes_cost_nothing_and_missing_times_are_not_zero() -> None:
    rows = pd.DataFrame({"after_task": [0, 1], "metric": "steps", "value": [5.0, 7.0]})
    timings = pd.DataFrame(
        {"after_task": [0, 1], "train_seconds": [1.5, 9.0], "cpu_seconds": [None, None]}
    )
    assert costs(rows, timings, 1) == {"steps": 5, "train_seconds": 1.5}


def test_cpu_time_is_added_up_and_of_peaks_the_highest_counts() -> None:
    rows = pd.DataFrame({"after_task": [0], "metric": "steps", "value": [5.0]})
    timings = pd.DataFrame(
        {"after_task": [0, 1, 2], "cpu_seconds": [2.0, 3.0, 9.0], "peak_memory": [700, 500, 900]}
    )
    assert costs(rows, timings, 2) == {"steps": 5, "cpu_seconds": 5, "peak_memory": 700}


def test_the_share_of_decisions_is_of_methods_that_decide(study: StudyData) -> None:
    found = compute(study).query("metric == 'decision_share'")
    assert set(found["method"]) == {"experts"}
    assert found["value"].tolist() == pytest.approx([0.5 / (2.0 + 0.1 * seed) for seed in range(5)])
    without = compute(replace(study, timings=study.timings.iloc[:0]))
    assert without.query("metric == 'decision_share'")["value"].isna().all()
    assert math.isnan(decision_share({"train_seconds": 0.0, "decision_seconds": 0.0}))


def test_decisions_are_counted_a_run_without_probes(study: StudyData) -> None:
    assert list(decisions(study)) == [("experts", seed, 6) for seed in range(5)]
    probe = {**study.events[0], "task": 6}
    assert next(decisions(replace(study, events=[*study.events, probe]))) == ("experts", 0, 6)
