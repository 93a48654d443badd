from __future__ import annotations

from pathlib import Path

import pytest

from cl_moe.runs.folder.store import StudyFolder
from cl_moe.runs.plan import Job, MethodPlan, RunResult, Streams, StudyPlan
from cl_moe.runs.planning import make_plan
from cl_moe.runs.tuning import Tuning
from cl_moe.streams.stream import TaskStream


@pytest.fixture
def plan(stream: TaskStream) -> StudyPlan:
    grid = {"name": "ewc", "grid": {"strength": [1.0, 10.0, 100.0]}}
    return make_plan(stream, [grid, "dense"], seeds=[2, 3])


def scored(job: Job, value: float) -> tuple[Job, RunResult, int]:
    row = {"metric": "accuracy", "after_task": 1, "epoch": None, "value": value}
    return job, RunResult([row], [], [], {}), 2


def test_every_setting_is_a_job_on_the_first_seed(plan: StudyPlan, tmp_path: Path) -> None:
    jobs = Tuning(plan, StudyFolder(tmp_path), {}).open_jobs()
    assert [(job.seed, job.setting, dict(job.method.parameters)) for job in jobs] == [
        (2, 0, {"strength": 1.0}),
        (2, 1, {"strength": 10.0}),
        (2, 2, {"strength": 100.0}),
    ]


def test_settings_learn_from_and_are_scored_on_training_data_alone(
    plan: StudyPlan, tmp_path: Path
) -> None:
    streams = Streams(plan)
    (job, *_) = Tuning(plan, StudyFolder(tmp_path), {}).open_jobs()
    held = streams(job)
    assert not held.probes
    for task, whole in zip(held, streams(plan.jobs()[0]), strict=True):
        seen = {tuple(row) for row in whole.tensors("train")[0].tolist()}
        for split in ("train", "test"):
            rows = task.tensors(split)[0].tolist()
            assert 0 < len(rows) < len(seen)
            assert {tuple(row) for row in rows} < seen


@pytest.mark.parametrize(
    ("values", "best"),
    [
        ([0.5, 0.9, 0.7], 10.0),
        ([0.5, 0.7, 0.7], 10.0),  # the first listed of equals
        ([float("nan"), 0.1, 0.0], 10.0),  # what diverged is worse than any number
        ([float("nan")] * 3, 1.0),
    ],
)
def test_the_best_is_chosen(
    plan: StudyPlan, tmp_path: Path, values: list[float], best: float
) -> None:
    folder = StudyFolder(tmp_path)
    tuning = Tuning(plan, folder, {})
    for job, value in zip(tuning.open_jobs(), values, strict=True):
        tuning.record(*scored(job, value))
    assert tuning.choose() == {"ewc": {"strength": best}}
    chosen = [row["parameters"] for row in folder.tuning() if row["chosen"] == "yes"]
    assert chosen == [f'{{"strength": {best}}}']


def test_tuning_goes_on_where_it_was(plan: StudyPlan, tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    first = Tuning(plan, folder, {})
    first.record(*scored(first.open_jobs()[1], 0.5))
    again = Tuning(plan, folder, {})
    assert [job.setting for job in again.open_jobs()] == [0, 2]
    for job in again.open_jobs():
        again.record(*scored(job, 0.1))
    assert again.choose() == {"ewc": {"strength": 10.0}}


def test_what_was_chosen_is_not_looked_for_again(plan: StudyPlan, tmp_path: Path) -> None:
    tuning = Tuning(plan, StudyFolder(tmp_path), {"ewc": {"strength": 100.0}})
    assert tuning.open_jobs() == []
    assert tuning.choose() == {"ewc": {"strength": 100.0}}
    assert not (tmp_path / "tuning.csv").exists()


def test_a_grid_of_two_parameters_is_their_product() -> None:
    method = MethodPlan("m", "m", {"c": 0}, {"a": [1, 2], "b": ["x", "y"]})
    assert method.settings() == [
        {"a": 1, "b": "x"},
        {"a": 1, "b": "y"},
        {"a": 2, "b": "x"},
        {"a": 2, "b": "y"},
    ]
    assert MethodPlan("m", "m").settings() == []
