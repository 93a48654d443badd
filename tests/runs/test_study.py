"""A study end to end, at tiny size."""

from __future__ import annotations

import copy
import math
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import cl_moe
from cl_moe import InputError, StudyError, TaskStream, load_study, references
from cl_moe.runs import single
from cl_moe.runs.folder.store import StudyFolder
from cl_moe.runs.planning import make_plan

MOODY = '''
import pathlib

from cl_moe.strategies.methods.dense import dense


def moody(context, /, *, marker: str):
    """Fail while the marker is there."""
    if pathlib.Path(marker).exists():
        raise OSError("a bad day")
    return dense(context)
'''
CHOOSY = '''
from cl_moe.errors import InputError
from cl_moe.strategies.methods.dense import dense


def choosy(context, /):
    """Refuse the data when they are learned."""
    method = dense(context)

    def train(*given, **named):
        raise InputError("data: too plain")

    method.strategy.train = train
    return method
'''
PICKY = '''
from cl_moe.strategies.methods.dense import dense


def picky(context, /, *, size: int):
    """Fail with one size."""
    if size == 2:
        raise KeyError(size)
    return dense(context)
'''
KEY = ["method", "seed", "after_task", "task", "metric", "epoch"]
ONCE = {"training": {"epochs": 1, "min_steps": 0}, "network": {"hidden": [8]}, "progress": False}


def ordered(study: cl_moe.Study) -> pd.DataFrame:
    return study.rows.sort_values(KEY, ignore_index=True)


def times(folder: Path) -> dict[str, int]:
    return {str(path): path.stat().st_mtime_ns for path in folder.glob("runs/*/*/rows.csv")}


def test_what_a_run_gives(stream: TaskStream) -> None:
    study = cl_moe.run(stream, ["dense", "joint"], seeds=1, **ONCE)
    rows = study.rows
    dense = rows[rows["method"] == "dense"]
    ends = dense[(dense["metric"] == "accuracy") & dense["epoch"].isna()]
    places = list(zip(ends["after_task"], ends["task"], strict=True))
    assert places == [(0, "task0"), (1, "task0"), (1, "task1"), (2, "task2")]
    curve = dense[dense["epoch"].notna()]
    assert list(zip(curve["task"], curve["epoch"], strict=True)) == [
        ("task0", 0), ("task0", 1), ("task1", 0), ("task1", 1), ("task2", 0), ("task2", 1)
    ]  # fmt: skip
    last = curve.groupby("task")["value"].last()
    own = ends.groupby("task")["value"].first()
    assert last.to_dict() == own.to_dict()
    joint = rows[rows["method"] == "joint"]
    assert set(joint["after_task"]) == {1, 2}
    assert {"parameters", "active_parameters", "flops_predict", "steps", "loss"} <= set(
        rows["metric"]
    )
    assert study.data.tasks["probe"].tolist() == [False, False, True]
    timings = study.data.timings
    assert (timings["train_seconds"] > 0).all()
    assert (timings["cpu_seconds"] > 0).all()
    assert (timings["peak_memory"].dropna() > 50).all()
    assert not {"cpu_seconds", "peak_memory"} & set(rows["metric"])


def test_a_study_shows_itself(stream: TaskStream, tmp_path: Path) -> None:
    study = cl_moe.run(stream, ["dense"], seeds=2, out=tmp_path / "study", **ONCE)
    assert repr(study).startswith("Study 'toy': 1 method, 2 seeds, 2 tasks, kept in ")
    assert "dense" in study.table()
    summary = study.summary()
    assert {"method", "metric", "group", "mean", "low", "high", "seeds"} <= set(summary)
    with pytest.raises(InputError, match="kept nowhere"):
        cl_moe.Study(study.data).plot()


def test_the_same_seed_gives_the_same_rows_and_touches_nothing(stream: TaskStream) -> None:
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    first = cl_moe.run(stream, ["dense", "ewc"], seeds=[3], **ONCE)
    assert torch.equal(torch.get_rng_state(), before)
    assert torch.get_num_threads() == threads
    torch.manual_seed(99)
    second = cl_moe.run(stream, ["dense", "ewc"], seeds=[3], **ONCE)
    torch.set_rng_state(before)
    pd.testing.assert_frame_equal(first.rows, second.rows, check_exact=True)


def test_another_seed_gives_other_rows(stream: TaskStream) -> None:
    rows = cl_moe.run(stream, ["dense"], seeds=2, **ONCE).rows
    losses = [rows[(rows["seed"] == s) & (rows["metric"] == "loss")]["value"] for s in (0, 1)]
    assert losses[0].tolist() != losses[1].tolist()


def test_learning_curves_change_nothing(stream: TaskStream) -> None:
    with_curves = cl_moe.run(stream, ["dense"], seeds=1, **ONCE).rows
    without = cl_moe.run(stream, ["dense"], seeds=1, curves=False, **ONCE).rows
    assert without["epoch"].isna().all()
    rest = with_curves[with_curves["epoch"].isna()].reset_index(drop=True)
    pd.testing.assert_frame_equal(rest, without, check_exact=True)


def test_a_study_goes_on_where_it_was(stream: TaskStream, tmp_path: Path) -> None:
    out = tmp_path / "study"
    cl_moe.run(stream, ["dense"], seeds=1, out=out, **ONCE)
    before = times(out)
    more = cl_moe.run(stream, ["ewc", "dense"], seeds=2, out=out, **ONCE)
    assert len(more.rows.groupby(["method", "seed"])) == 4
    after = times(out)
    assert before.items() <= after.items()
    cl_moe.run(stream, ["joint"], seeds=1, out=out, **ONCE)
    assert load_study(out).method_names == ["dense", "ewc", "joint"]
    assert after.items() <= times(out).items()


def test_another_study_in_the_same_folder_is_refused(stream: TaskStream, tmp_path: Path) -> None:
    out = tmp_path / "study"
    cl_moe.run(stream, [{"name": "ewc", "strength": 2.0}], seeds=1, out=out, **ONCE)
    before = times(out)
    changed = {**ONCE, "training": {"epochs": 2, "min_steps": 0}}
    with pytest.raises(InputError) as error:
        cl_moe.run(stream, [{"name": "ewc", "strength": 3.0}], seeds=1, out=out, **changed)
    assert "training.epochs is 1 there and 2 here" in str(error.value)
    assert "methods.ewc.parameters.strength is 2.0 there and 3.0 here" in str(error.value)
    assert times(out) == before
    with pytest.raises(InputError, match=r"stream\.content is"):
        cl_moe.run(stream[:1], ["ewc"], seeds=1, out=out, **ONCE)
    fresh = cl_moe.run(stream, ["dense"], seeds=1, out=out, fresh=True, **changed)
    assert fresh.data.method_names == ["dense"]


def test_what_cannot_be_built_is_found_before_anything_is_run(
    stream: TaskStream, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    methods: list[Any] = ["dense", {"name": "ewc", "strength": -1.0}]
    methods.append({"name": "replay", "grid": {"memory": [20, -3]}})
    with pytest.raises(InputError) as error:
        cl_moe.run(stream, methods, seeds=1, out=out, **ONCE)
    assert "strength: -1.0" in error.value.problems[0]
    assert "-3" in error.value.problems[1]
    assert not out.exists()


def test_a_run_that_fails_costs_no_other(
    stream: TaskStream, misbehaving: str, tmp_path: Path
) -> None:
    out = tmp_path / "study"
    methods: list[Any] = [f"{misbehaving}:fail", "dense"]
    with pytest.raises(StudyError) as caught:
        cl_moe.run(stream, methods, seeds=1, out=out, **ONCE)
    error, file = caught.value, out / "failures" / "fail-seed_0.txt"
    assert str(error).split("\n") == [
        "1 run failed; all others are kept",
        f"fail, seed 0: ZeroDivisionError: a bug in a method (traceback: {file})",
    ]
    assert "Traceback (most recent call last)" in file.read_text()
    assert [failed.file for failed in error.failures] == [file]
    assert error.study is not None
    assert error.study.folder == out
    assert "│ dense " in error.study.table()
    assert load_study(out).method_names == ["dense"]


def test_a_run_that_failed_is_tried_again(stream: TaskStream, tmp_path: Path) -> None:
    """And what was kept of the failure goes when it works."""
    out, marker = tmp_path / "study", tmp_path / "marker"
    marker.touch()
    module = tmp_path / "moody.py"
    module.write_text(MOODY)
    method = {"type": f"{module}:moody", "marker": str(marker)}
    with pytest.raises(StudyError, match="OSError: a bad day") as caught:
        cl_moe.run(stream, [method], seeds=2, out=out, **ONCE)
    assert caught.value.study is None
    names = ["moody-seed_0.txt", "moody-seed_1.txt"]
    assert sorted(path.name for path in (out / "failures").iterdir()) == names
    marker.unlink()
    assert cl_moe.run(stream, [method], seeds=[1], out=out, **ONCE).data.seeds == [1]
    assert [path.name for path in (out / "failures").iterdir()] == names[:1]
    assert cl_moe.run(stream, [method], seeds=2, out=out, **ONCE).data.seeds == [0, 1]
    assert not (out / "failures").exists()


def test_a_failure_of_a_study_that_is_kept_nowhere_has_a_file(
    stream: TaskStream, misbehaving: str
) -> None:
    with pytest.raises(StudyError) as caught:
        cl_moe.run(stream, [f"{misbehaving}:fail", "dense"], seeds=1, **ONCE)
    (failed,) = caught.value.failures
    assert failed.file is not None
    assert "a bug in a method" in failed.file.read_text()
    assert caught.value.study is not None
    assert caught.value.study.folder is None
    assert caught.value.study.data.method_names == ["dense"]


def test_a_method_that_ends_the_process_is_a_failure(stream: TaskStream, tmp_path: Path) -> None:
    module = tmp_path / "leaving.py"
    module.write_text("def leave(context, /):\n    raise SystemExit(0)\n")
    with pytest.raises(StudyError, match="leave, seed 0: SystemExit: 0") as caught:
        cl_moe.run(stream, [f"{module}:leave", "dense"], seeds=1, **ONCE)
    assert caught.value.study is not None


@pytest.mark.parametrize("others", [["dense"], []])
def test_a_refusal_while_others_run_costs_no_other(
    stream: TaskStream, tmp_path: Path, others: list[str]
) -> None:
    """With no run whole, it is what the user has to put right."""
    module = tmp_path / "choosy.py"
    module.write_text(CHOOSY)
    kind = StudyError if others else InputError
    with pytest.raises(kind, match=r"choosy, seed 1: data: too plain") as caught:
        cl_moe.run(stream, [f"{module}:choosy", *others], seeds=[1], **ONCE)
    if others:
        assert caught.value.study.data.method_names == others
        assert [failed.file for failed in caught.value.failures] == [None]


def test_a_setting_that_fails_costs_its_method_alone(stream: TaskStream, tmp_path: Path) -> None:
    out, module = tmp_path / "study", tmp_path / "picky.py"
    module.write_text(PICKY)
    grid = {"type": f"{module}:picky", "grid": {"size": [1, 2, 3]}}
    with pytest.raises(StudyError, match="picky, seed 0, setting 2: KeyError: 2") as caught:
        cl_moe.run(stream, [grid, "dense"], seeds=1, out=out, **ONCE)
    assert caught.value.study is not None
    assert caught.value.study.data.method_names == ["dense"]
    assert [row["setting"] for row in StudyFolder(out).tuning()] == [0, 2]
    module.write_text(PICKY.replace("size == 2", "size == 9"))
    references._module_of.cache_clear()
    found = cl_moe.run(stream, [grid, "dense"], seeds=1, out=out, **ONCE)
    assert found.data.method_names == ["picky", "dense"]
    assert not (out / "failures").exists()


def test_processes_change_nothing(stream: TaskStream) -> None:
    here = cl_moe.run(stream, ["dense", "ewc"], seeds=1, **ONCE)
    there = cl_moe.run(stream, ["dense", "ewc"], seeds=1, jobs=2, **ONCE)
    pd.testing.assert_frame_equal(ordered(here), ordered(there), check_exact=True)


def test_the_best_setting_on_training_data_is_taken(stream: TaskStream, tmp_path: Path) -> None:
    out = tmp_path / "study"
    grid = {"name": "replay", "grid": {"memory": [4, 20]}}
    study = cl_moe.run(stream, [grid, "dense"], seeds=[5, 6], out=out, **ONCE)
    tried = StudyFolder(out).tuning()
    assert [(row["method"], row["parameters"], row["seed"]) for row in tried] == [
        ("replay", '{"memory": 4}', 5),
        ("replay", '{"memory": 20}', 5),
    ]
    best = max(tried, key=lambda row: row["value"])
    assert [row["chosen"] for row in tried] == ["yes" if r is best else "no" for r in tried]
    setting = {"memory": 4 if best is tried[0] else 20}
    plain = cl_moe.run(stream, [{"name": "replay", **setting}], seeds=[5, 6], **ONCE)
    mine = study.rows[study.rows["method"] == "replay"].reset_index(drop=True)
    pd.testing.assert_frame_equal(mine, plain.rows, check_exact=True)
    before = times(out), (out / "tuning.csv").read_text()
    cl_moe.run(stream, [grid], seeds=[6], out=out, **ONCE)
    assert (times(out), (out / "tuning.csv").read_text()) == before


def test_a_scenario_file_runs(scenario: Path) -> None:
    study = cl_moe.run(scenario, progress=False)
    assert study.data.method_names == ["dense", "joint"]
    assert study.data.seeds == [0, 1]
    assert study.data.name == "tiny"


def test_a_probe_leaves_the_state_at_the_end_of_the_stream_as_it_is(stream: TaskStream) -> None:
    plan = make_plan(stream, ["moe"], seeds=1, training={"epochs": 1})
    run = single._Run(plan, plan.jobs()[0], stream, lambda progress: None)
    for _ in range(len(stream)):
        run.learn()
    model = run._strategy.model
    before = copy.deepcopy(dict(model.named_parameters()))
    run.learn_probe()
    after = dict(model.named_parameters())
    assert before.keys() == after.keys()
    assert all(torch.equal(value, after[name]) for name, value in before.items())
    assert not model.knows(len(stream))


BLOWN = {
    "training": {"epochs": 1, "min_steps": 20, "optimizer": "sgd", "learning_rate": 1e12},
    "network": {"hidden": [8]},
    "progress": False,
}


@pytest.mark.parametrize("method", ["dense", "ewc", "single_task", "joint", "replay", "lwf"])
def test_training_that_diverges_is_told(stream: TaskStream, method: str, tmp_path: Path) -> None:
    """Predictions of NaN are all the first class: without a word, 50 points, nothing forgotten."""
    study = cl_moe.run(stream, [method], seeds=1, out=tmp_path / "study", **BLOWN)
    losses = load_study(tmp_path / "study").rows.query("metric == 'loss'")["value"]
    assert losses.isna().any()
    assert "1 of 1 seed" in study.table()
    assert f"{method} diverged in 1 of 1 seed (seed 0: loss nan after task" in study.table()


def test_a_setting_that_diverges_is_not_chosen(stream: TaskStream, tmp_path: Path) -> None:
    """Its accuracy is chance, which here is more than that of a network that learns nothing."""
    out = tmp_path / "study"
    grid = {"name": "ewc", "grid": {"strength": [1e30, 1.0]}}
    budget = {**ONCE, "training": {"epochs": 2, "min_steps": 20, "optimizer": "sgd"}}
    cl_moe.run(stream, [grid], seeds=1, out=out, **budget)
    tried = StudyFolder(out).tuning()
    assert [row["chosen"] for row in tried] == ["no", "yes"]
    assert math.isnan(tried[0]["value"])


def test_a_transfer_matrix_that_diverges_is_told(stream: TaskStream) -> None:
    study = cl_moe.transfer(stream, "dense", seeds=1, **BLOWN)
    assert study.data.pairs["value"].isna().all()
    assert "single_task diverged in 1 of 1 seed" in study.table()
    assert "dense diverged in 2 of 2 runs of a pair" in study.table()
