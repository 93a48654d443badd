"""Models that a study keeps: one a run, as it was at the end of the stream."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

import cl_moe
from cl_moe.errors import InputError
from cl_moe.runs.driver import StudyError
from cl_moe.runs.folder.export import export
from cl_moe.runs.folder.kept import keeps_model, without_model
from cl_moe.runs.folder.store import StudyFolder
from cl_moe.runs.plan import Job, MethodPlan
from cl_moe.runs.planning import make_plan

QUICK = {"training": {"epochs": 1, "min_steps": 0}, "network": {"hidden": [8]}, "progress": False}
METHODS = ["dense", "single_task", "nearest_mean", "joint", "moe", {"name": "bent", "type": "agem"}]


def drafts(folder: Path) -> list[Path]:
    return list(folder.glob(".writing-*"))


def accuracy(model: torch.nn.Module, task, label: int) -> float:
    x, y = task.tensors("test")
    with torch.no_grad():
        return float((model.eval()(x, label).argmax(1) == y).double().mean())


@pytest.mark.parametrize("jobs", [1, pytest.param(2, marks=pytest.mark.slow)])
def test_each_run_keeps_the_model_whose_accuracies_it_says(stream, tmp_path: Path, jobs) -> None:
    study = cl_moe.run(
        stream, METHODS, seeds=[0, 4], out=tmp_path / "s", keep_models=True, jobs=jobs, **QUICK
    )
    final = study.rows[(study.rows["after_task"] == 1) & study.rows["epoch"].isna()]
    for method in study.data.method_names:
        for seed in (0, 4):
            model = cl_moe.load_study(tmp_path / "s").model(method, seed)
            assert model.network.tasks == [0, 1], "no probe is in it"
            assert model.tasks_info[1] == {"name": "task1", "classes": ["left", "right"]}
            own = final[(final["method"] == method) & (final["seed"] == seed)]
            own = own[own["metric"] == "accuracy"].set_index("task")["value"]
            for label, task in enumerate(stream):
                assert accuracy(model, task, label) == pytest.approx(own[task.name])
    assert torch.equal(
        study.model("dense", 4)(stream[0].tensors("test")[0], 0),
        cl_moe.load(tmp_path / "s/runs/dense/seed_4/model")(stream[0].tensors("test")[0], 0),
    )
    assert not drafts(tmp_path / "s")


def test_keeping_models_changes_no_row(stream, tmp_path: Path) -> None:
    words = {"seeds": 1, **QUICK}
    one = cl_moe.run(stream, ["moe", "packnet"], out=tmp_path / "a", **words)
    two = cl_moe.run(stream, ["moe", "packnet"], out=tmp_path / "b", keep_models=True, **words)
    assert one.rows.equals(two.rows)
    assert not list((tmp_path / "a").rglob("model"))


def test_whole_runs_are_left_as_they_are_and_told_of(stream, tmp_path: Path, capsys) -> None:
    words = {"out": tmp_path / "s", **QUICK}
    cl_moe.run(stream, ["dense"], seeds=1, **words)
    words["progress"] = True
    study = cl_moe.run(stream, ["dense"], seeds=2, keep_models=True, **words)
    assert "1 whole run without a model: models of whole runs are not made again; --fresh" in (
        capsys.readouterr().err
    )
    assert study.model("dense", 1).network.tasks == [0, 1]
    with pytest.raises(InputError, match=r"seed 0, was kept; run again with --keep-models"):
        study.model("dense")
    study = cl_moe.run(stream, ["dense"], seeds=2, keep_models=True, fresh=True, **words)
    assert "without a model" not in capsys.readouterr().err
    assert study.model("dense").network.tasks == [0, 1]


def test_what_a_study_does_not_have_is_named(stream, tmp_path: Path) -> None:
    study = cl_moe.run(
        stream, ["dense", "ewc"], seeds=2, out=tmp_path / "s", keep_models=True, **QUICK
    )
    for given in (study, cl_moe.load_study(tmp_path / "s")):
        with pytest.raises(InputError, match=r"no method 'dens'; did you mean 'dense'\?"):
            given.model("dens")
        with pytest.raises(InputError, match="no run of 'ewc' with seed 7; seeds: 0, 1"):
            given.model("ewc", 7)
    nowhere = cl_moe.run(stream, ["dense"], seeds=1, **QUICK)
    with pytest.raises(InputError, match="have no folder"):
        nowhere.model("dense")


def test_an_export_leaves_models_out(stream, tmp_path: Path) -> None:
    cl_moe.run(stream, ["dense"], seeds=1, out=tmp_path / "s", keep_models=True, **QUICK)
    export(tmp_path / "s", tmp_path / "e")
    assert not list((tmp_path / "e").rglob("model*"))
    with pytest.raises(InputError, match="an exported study holds no models"):
        cl_moe.load_study(tmp_path / "e").model("dense")


def test_where_models_cannot_be_kept_nothing_is_begun(stream, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="keep_models: the study has no folder; give out"):
        cl_moe.run(stream, ["dense"], keep_models=True, **QUICK)
    with pytest.raises(InputError, match="a run on a cluster cannot write its model"):
        cl_moe.run(stream, ["dense"], out=tmp_path / "s", engine="ray", keep_models=True, **QUICK)
    assert not (tmp_path / "s").exists()


OWN = '''
import torch
from avalanche.training import Naive

from cl_moe.strategies.methods.base import Method, sequential


def foreign(context, /):
    """Train a model that is none of ours."""
    from avalanche.models import MTSimpleMLP

    model = MTSimpleMLP(input_size=6, hidden_size=4)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = torch.nn.CrossEntropyLoss()
    return Method(Naive(model=model, optimizer=optimizer, criterion=criterion))


def probeless(context, /):
    """Fail when a probe comes."""
    method = sequential(context)
    train = method.strategy.train

    def stop(*given, **named):
        raise ZeroDivisionError("no probes")

    def copied(_):
        method.strategy.train = stop
        return method.strategy

    type(method.strategy).__deepcopy__ = lambda self, memo: copied(memo)
    return method
'''


@pytest.fixture
def own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "own_methods.py").write_text(OWN)
    monkeypatch.syspath_prepend(folder)
    return "own_methods"


def test_a_method_whose_model_cannot_be_saved_is_refused_before_it_learns(
    stream, tmp_path: Path, own: str
) -> None:
    with pytest.raises(InputError, match="its model, a MTSimpleMLP, cannot be saved"):
        cl_moe.run(stream, [f"{own}:foreign"], out=tmp_path / "s", keep_models=True, **QUICK)
    assert not drafts(tmp_path / "s")
    assert not list((tmp_path / "s").glob("runs/*/*"))


def test_a_run_that_fails_after_the_stream_leaves_nothing(
    stream, tmp_path: Path, own: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cl_moe.training.strategy import Strategy

    monkeypatch.setattr(Strategy, "__deepcopy__", None, raising=False)
    with pytest.raises(StudyError, match="no probes"):
        cl_moe.run(
            stream, [f"{own}:probeless"], seeds=1, out=tmp_path / "s", keep_models=True, **QUICK
        )
    assert not drafts(tmp_path / "s")
    assert not list((tmp_path / "s").rglob("model*"))


def test_tuning_and_pairs_keep_none(stream, tmp_path: Path) -> None:
    plan = replace(make_plan(stream, ["dense"], 1), models=tmp_path)
    run = Job(MethodPlan("dense", "dense"), 0)
    assert keeps_model(plan, run)
    assert not keeps_model(plan, replace(run, setting=0))
    assert not keeps_model(plan, replace(run, after="task0"))
    assert not keeps_model(replace(plan, models=None), run)
    assert without_model(plan, StudyFolder(tmp_path)) is None
