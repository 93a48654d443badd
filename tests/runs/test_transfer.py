"""The transfer matrix end to end, at tiny size."""

from __future__ import annotations

import json
from pathlib import Path

import pandas as pd
import pytest

import cl_moe
from cl_moe import InputError, TaskStream, load_study
from cl_moe.runs.plan import Streams
from cl_moe.runs.transfer import make_pair_plan

ONCE = {"training": {"epochs": 1, "min_steps": 0}, "network": {"hidden": [8]}, "progress": False}


@pytest.fixture
def three(stream: TaskStream) -> TaskStream:
    """Three tasks, no probe."""
    return TaskStream([*stream, *stream.probes], name="toy")


def test_every_task_is_followed_by_every_other_one(three: TaskStream) -> None:
    plan = make_pair_plan(three, ["moe", "dense"], seeds=1)
    jobs = plan.jobs()
    assert [(job.method.name, job.after) for job in jobs] == [
        *((method, f"task{k}") for method in ("moe", "dense") for k in range(3)),
        ("single_task", None),
    ]
    streams = Streams(plan)
    pairs = streams(jobs[1])
    assert [task.name for task in pairs] == ["task1"]
    assert [task.name for task in pairs.probes] == ["task0", "task2"]
    assert len(streams(jobs[-1])) == 3


@pytest.mark.parametrize("method", ["dense", "moe", "progressive", "joint", "packnet"])
def test_the_gain_is_the_second_tasks_accuracy_over_alone(three: TaskStream, method: str) -> None:
    study = cl_moe.transfer(three, method, seeds=[2], **ONCE)
    found = study.transfer().set_index(["after", "task"])
    names = [task.name for task in three]
    assert list(found.index) == [(i, j) for i in names for j in names if i != j]
    assert (found["seeds"] == 1).all()
    pairs = study.data.pairs.set_index(["after", "task"])["value"]
    single_task = study.rows[
        (study.rows["metric"] == "accuracy") & study.rows["epoch"].isna()
    ].set_index("task")["value"]
    assert set(study.rows["method"]) == {"single_task"}
    own = single_task.groupby("task").last()
    for (i, j), gain in found["mean"].items():
        assert gain == pytest.approx(pairs[i, j] - own[j])
    assert f"Transfer matrix of {method}" in repr(study)


def test_a_probe_after_one_task_is_the_second_task_of_a_pair(three: TaskStream) -> None:
    """The accuracy is that of a probe of a study whose stream is the one task."""
    pairs = cl_moe.transfer(three, "dense", seeds=1, **ONCE).data.pairs
    short = TaskStream(three[1:2], name="toy", probes=[three[0], three[2]])
    rows = cl_moe.run(short, ["dense"], seeds=1, **ONCE).rows
    ends = rows[(rows["metric"] == "accuracy") & (rows["after_task"] == 1) & rows["epoch"].isna()]
    mine = pairs[pairs["after"] == "task1"]
    assert mine["value"].tolist() == ends["value"].tolist()


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_it_goes_on_and_shares_the_folder_of_a_study(
    three: TaskStream, tmp_path: Path, jobs: int
) -> None:
    out = tmp_path / "study"
    cl_moe.run(three, ["dense", "single_task"], seeds=1, baseline="dense", out=out, **ONCE)
    first = cl_moe.transfer(three, ["dense"], seeds=1, out=out, **ONCE)
    times = {path: path.stat().st_mtime_ns for path in out.glob("**/rows.csv")}
    assert len(times) == 5
    cl_moe.transfer(three, ["dense", "moe"], seeds=1, jobs=jobs, out=out, **ONCE)
    assert all(path.stat().st_mtime_ns == time for path, time in times.items())
    again = load_study(out)
    assert (again.method_names, again.baseline) == (["dense", "single_task"], "dense")
    assert again.pairs["method"].unique().tolist() == ["dense", "moe"]
    kept = again.pairs[again.pairs["method"] == "dense"].reset_index(drop=True)
    pd.testing.assert_frame_equal(kept, first.data.pairs, check_exact=True)
    spec = json.loads((out / "after" / "task1" / "moe" / "seed_0" / "spec.json").read_text())
    assert spec["after"] == "task1"
    with pytest.raises(InputError, match=r"training\.epochs is 1 there and 2 here"):
        cl_moe.transfer(
            three, "moe", seeds=1, out=out, **{**ONCE, "training": {"epochs": 2, "min_steps": 0}}
        )


def test_damaged_pairs_are_named(three: TaskStream, tmp_path: Path) -> None:
    cl_moe.transfer(three, "dense", seeds=1, out=tmp_path, **ONCE)
    for path in tmp_path.glob("after/*/*/*/rows.csv"):
        path.write_text("")
    with pytest.raises(InputError) as error:
        load_study(tmp_path)
    assert len(error.value.problems) == 3


def test_the_reference_is_the_scenarios_own(scenario: Path) -> None:
    text = scenario.read_text().replace('name = "joint"', 'name = "single"\ntype = "single_task"')
    scenario.write_text(text)
    assert [method.name for method in make_pair_plan(scenario).methods] == ["moe", "single"]
    with pytest.raises(InputError, match="'single' is what the others are measured against"):
        make_pair_plan(scenario, "single")


def test_one_task_has_no_pairs(three: TaskStream) -> None:
    with pytest.raises(InputError, match="'toy' has one task; a transfer matrix needs two"):
        make_pair_plan(three[:1])
