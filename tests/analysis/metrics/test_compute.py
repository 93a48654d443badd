from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.metrics import METRICS, compute
from cl_moe.analysis.metrics.names import label

nan = np.nan


def value(data: StudyData, method: str, metric: str, group: str | None = None) -> float:
    """Return the value of seed 0."""
    frame = compute(data)
    of_group = frame["group"].isna() if group is None else frame["group"] == group
    chosen = (frame["method"] == method) & (frame["metric"] == metric) & (frame["seed"] == 0)
    return float(frame[chosen & of_group]["value"].item())


def test_every_metric_is_described_and_every_run_is_there(study: StudyData) -> None:
    frame = compute(study)
    assert list(frame.columns) == ["method", "seed", "metric", "group", "value"]
    assert set(frame["metric"]) <= set(METRICS)
    assert not frame.duplicated().any()
    assert len(frame[["method", "seed"]].drop_duplicates()) == 20
    assert list(dict.fromkeys(frame["method"])) == study.method_names
    assert all(group is None or isinstance(group, str) for group in frame["group"])


def test_changing_the_result_does_not_change_the_next_one(study: StudyData) -> None:
    frame = compute(study)
    frame["value"] = 0.0
    assert compute(study)["value"].max() > 0


def test_values_by_hand(study_of: Callable[..., StudyData]) -> None:
    data = study_of(
        {
            "moe": [[[0.9, nan], [0.8, 0.7]]],
            "single_task": [[[0.8, nan], [nan, 0.6]]],
            "joint": [[[nan, nan], [1.0, 0.9]]],
        }
    )
    assert value(data, "moe", "average_accuracy") == pytest.approx(0.75)
    assert value(data, "moe", "average_incremental_accuracy") == pytest.approx(0.825)
    assert value(data, "moe", "forgetting") == pytest.approx(0.1)
    assert value(data, "moe", "learning_transfer") == pytest.approx(0.1)
    assert value(data, "moe", "last_task_transfer") == pytest.approx(0.1)
    assert value(data, "moe", "intransigence") == pytest.approx(0.15)
    assert value(data, "joint", "average_accuracy") == pytest.approx(0.95)
    for metric in ("forgetting", "intransigence", "learning_transfer"):
        assert np.isnan(value(data, "joint", metric))
    assert np.isnan(value(data, "moe", "forward_transfer"))
    assert np.isnan(value(data, "moe", "learning_curve_area"))


def test_forward_transfer_where_heads_exist(study_of: Callable[..., StudyData]) -> None:
    data = study_of({"shared": [[[0.9, 0.5], [0.8, 0.7]]]})
    before = pd.DataFrame(
        [("shared", 0, -1, f"t{j}", "accuracy", 0.1, nan) for j in range(2)],
        columns=data.rows.columns,
    )
    data = replace(data, rows=pd.concat([data.rows, before]))
    assert value(data, "shared", "forward_transfer") == pytest.approx(0.4)


def test_references_are_of_the_same_seed(study_of: Callable[..., StudyData]) -> None:
    data = study_of({"moe": [[[0.9]], [[0.9]]], "single_task": [[[0.5]]]})
    frame = compute(data).query("method == 'moe' and metric == 'learning_transfer'")
    assert frame["value"].iloc[0] == pytest.approx(0.4)
    assert np.isnan(frame["value"].iloc[1])


def test_the_reference_is_found_by_type_not_by_name(study_of: Callable[..., StudyData]) -> None:
    data = study_of({"moe": [[[0.9]]], "one each": [[[0.7]]]}, types={"one each": "single_task"})
    assert value(data, "moe", "learning_transfer") == pytest.approx(0.2)


def test_groups_restrict_and_the_last_tasks_group_has_no_forgetting(study: StudyData) -> None:
    a_TT = study.accuracies()["dense", 0]
    low = value(study, "dense", "average_accuracy", "low_resource")
    assert low == pytest.approx((a_TT[-1, 2] + a_TT[-1, 4]) / 2)
    assert np.isnan(value(study, "dense", "forgetting", "unrelated"))
    assert value(study, "dense", "backward_transfer", "low_resource") < 0


def test_probes_are_not_part_of_the_stream(
    study: StudyData, make: Callable[..., StudyData]
) -> None:
    without = make(probes=())
    for metric in ("average_accuracy", "forgetting", "steps"):
        assert value(study, "ewc", metric) == value(without, "ewc", metric)
    assert "probe_accuracy" not in set(compute(without)["metric"])
    assert value(study, "single_task", "probe_transfer") == 0
    assert value(study, "experts", "probe_transfer") > 0
    assert value(study, "experts", "samples_to_target") in (8, 32, 128, 512)


def test_one_task(make: Callable[..., StudyData]) -> None:
    data = make(seeds=1, tasks=[("mnist", "rich", None, None, 60, 0.9)])
    assert 0 < value(data, "dense", "average_accuracy") < 1
    assert np.isnan(value(data, "dense", "forgetting"))
    assert np.isnan(value(data, "dense", "last_task_transfer"))


def test_an_interrupted_run_is_undefined_at_the_end(study: StudyData) -> None:
    rows = study.rows
    cut = replace(study, rows=rows[~((rows["method"] == "dense") & (rows["after_task"] >= 4))])
    assert np.isnan(value(cut, "dense", "average_accuracy"))
    assert np.isnan(value(cut, "dense", "probe_accuracy"))
    assert value(cut, "ewc", "average_accuracy") == value(study, "ewc", "average_accuracy")


def test_no_rows_give_no_metrics(study: StudyData) -> None:
    assert compute(replace(study, rows=study.rows.iloc[:0], events=[])).empty


@settings(max_examples=4, deadline=None)
@given(order=st.permutations(range(5)))
def test_relabelling_seeds_changes_no_value(
    make: Callable[..., StudyData], order: list[int]
) -> None:
    study = make(methods=[("experts", "moe"), ("single_task", "single_task")])
    new = dict(enumerate(order))
    data = replace(
        study,
        rows=study.rows.assign(seed=study.rows["seed"].map(new)),
        timings=study.timings.assign(seed=study.timings["seed"].map(new)),
        events=[{**event, "seed": new[event["seed"]]} for event in study.events],
    )
    key = ["method", "metric", "group", "seed"]
    before = compute(study).assign(seed=lambda frame: frame["seed"].map(new))
    after = compute(data)
    pd.testing.assert_frame_equal(
        before.sort_values(key, ignore_index=True), after.sort_values(key, ignore_index=True)
    )


@pytest.mark.parametrize("name", METRICS)
def test_every_metric_says_what_it_needs(name: str) -> None:
    assert METRICS[name].needs
    assert label(name) == METRICS[name].label
