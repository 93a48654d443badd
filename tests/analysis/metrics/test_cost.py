from __future__ import annotations

from dataclasses import replace

import pandas as pd

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.metrics.cost import costs, decisions


def test_sizes_are_the_last_operations_the_mean_and_steps_the_sum() -> None:
    values = {"parameters": [3.0, 9.0], "flops_predict": [2.0, 4.0], "peak_memory": [8.0, 5.0],
              "experts": [1.0, 2.0], "steps": [10.0, 20.0]}  # fmt: skip
    rows = pd.DataFrame(
        [(k, name, v) for name, pair in values.items() for k, v in enumerate(pair)],
        columns=["after_task", "metric", "value"],
    )
    found = costs(rows.iloc[::-1], pd.DataFrame({"after_task": []}), 2)
    assert found == {
        "parameters": 9, "flops_predict": 3, "peak_memory": 8, "experts": 2, "steps": 30,
    }  # fmt: skip


def test_probes_cost_nothing_and_missing_times_are_not_zero() -> None:
    rows = pd.DataFrame({"after_task": [0, 1], "metric": "steps", "value": [5.0, 7.0]})
    timings = pd.DataFrame(
        {"after_task": [0, 1], "train_seconds": [1.5, 9.0], "cpu_seconds": [None, None]}
    )
    assert costs(rows, timings, 1) == {"steps": 5, "train_seconds": 1.5}


def test_decisions_are_counted_a_run_without_probes(study: StudyData) -> None:
    assert list(decisions(study)) == [("experts", seed, 6) for seed in range(5)]
    probe = {**study.events[0], "task": 6}
    assert next(decisions(replace(study, events=[*study.events, probe]))) == ("experts", 0, 6)
