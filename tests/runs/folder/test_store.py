from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cl_moe.errors import InputError
from cl_moe.runs.folder.loading import load_study
from cl_moe.runs.folder.records import run_spec
from cl_moe.runs.folder.store import StudyFolder
from cl_moe.runs.plan import Job, MethodPlan, RunResult

TASK = {
    "position": 0,
    "task": "a",
    "group": None,
    "derived_from": None,
    "relation": None,
    "n_train": 4,
    "n_test": 4,
    "n_classes": 2,
    "probe": False,
}
DESCRIPTION: dict[str, Any] = {
    "name": "toy",
    "baseline": None,
    "spec": {},
    "methods": [{"name": "dense", "type": "dense"}, {"name": "a/b", "type": "ewc"}],
    "tasks": [TASK],
}


def edited(**values: Any) -> str:
    """Return the description with some values changed, as it stands in its file."""
    return json.dumps({"format": 1, **DESCRIPTION, **values})


def result(method: str, seed: int, value: float = 0.1 + 0.2) -> RunResult:
    mine = {"method": method, "seed": seed}
    at = {"after_task": 0, "task": "a", "metric": "accuracy", "value": value}
    loss = {"after_task": 0, "task": "a", "metric": "loss", "value": 1.0, "epoch": None}
    event = {"task": 0, "name": "a", "kind": "fresh", "sentence": "a new one"}
    seconds = {"train_seconds": 1.5, "decision_seconds": 0.0, "eval_seconds": 0.5}
    return RunResult(
        rows=[
            mine | at | {"epoch": 0},
            mine | at | {"epoch": None},
            mine | loss,
            mine | loss | {"metric": "steps"},
        ],
        events=[mine | event],
        timings=[mine | {"after_task": 0} | seconds],
        environment={"cl_moe": "0"},
    )


@pytest.fixture
def folder(tmp_path: Path) -> StudyFolder:
    folder = StudyFolder(tmp_path / "study")
    folder.describe(DESCRIPTION)
    for name, kind in (("dense", "dense"), ("a/b", "ewc")):
        write(folder, name, kind)
    return folder


def write(folder: StudyFolder, name: str, kind: str, seed: int = 3, **values: Any) -> None:
    about = {"name": name, "type": kind, "parameters": values.pop("parameters", {})}
    spec = run_spec(about, seed, values.pop("spec", {}))
    folder.write(Job(MethodPlan(name, kind), seed=seed), spec, result(name, seed, **values))


@pytest.fixture
def old(folder: StudyFolder) -> StudyFolder:
    """The same, as versions before digests wrote it."""
    for digests in folder.path.rglob("digests.json"):
        digests.unlink()
    for path in folder.path.rglob("spec.json"):
        spec = json.loads(path.read_text())
        del spec["format"]
        path.write_text(json.dumps(spec))
    return folder


def test_a_study_is_read_back(folder: StudyFolder) -> None:
    data = load_study(folder.path)
    assert data.method_names == ["dense", "a/b"]
    assert data.seeds == [3]
    assert data.rows["value"].tolist() == [0.1 + 0.2, 0.1 + 0.2, 1.0, 1.0] * 2
    assert data.rows["epoch"].isna().tolist() == [False, True, True, True] * 2
    assert [event["method"] for event in data.events] == ["dense", "a/b"]
    assert data.timings["train_seconds"].tolist() == [1.5, 1.5]


def test_methods_without_a_run_are_left_out(folder: StudyFolder) -> None:
    more = {"name": "later", "type": "ewc"}
    folder.describe({**DESCRIPTION, "methods": [more, *DESCRIPTION["methods"]]})
    assert load_study(folder.path).method_names == ["dense", "a/b"]


def test_a_write_that_fails_leaves_nothing(folder: StudyFolder) -> None:
    job = Job(MethodPlan("dense", "dense"), seed=4)
    broken = result("dense", 4)
    broken.events.append({"no": {1, 2}})
    with pytest.raises(TypeError):
        folder.write(job, {}, broken)
    assert not folder.has(job)
    assert not list(folder.path.glob(".writing*"))


def test_a_run_that_is_there_is_not_replaced(folder: StudyFolder) -> None:
    with pytest.raises(OSError, match="dense"):
        write(folder, "dense", "dense", value=0.9)
    assert 0.9 not in load_study(folder.path).rows["value"].tolist()
    assert not list(folder.path.glob(".writing*"))


def test_drafts_of_a_killed_process_are_removed(folder: StudyFolder) -> None:
    mine = (".writing-abc_defg", ".writing-0123abcd-77-abcdefgh")
    others = (".writing-notes", ".writing-abc_defg.txt", "writing-abc_defg")
    for name in (*mine, *others):
        (folder.path / name).mkdir()
    folder.clean()
    assert [name for name in (*mine, *others) if (folder.path / name).exists()] == [*others]


def test_clearing_leaves_what_is_not_ours(folder: StudyFolder) -> None:
    (folder.path / "notes.txt").write_text("mine")
    folder.clear()
    assert [path.name for path in folder.path.iterdir()] == ["notes.txt"]


def test_a_folder_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(InputError, match="not empty, and not the results of a study"):
        StudyFolder(tmp_path).description()
    with pytest.raises(InputError, match="a file; give a folder"):
        StudyFolder(tmp_path / "thesis.tex").description()
    assert StudyFolder(tmp_path / "new").description() is None


@pytest.mark.parametrize(
    ("file", "text", "wanted"),
    [
        ("study.json", "{", "study.json, line 1, column 2: not JSON"),
        ("study.json", '{"format": 9}', "this version of cl_moe reads format 1"),
        ("study.json", "{}", "study.json, 'methods': missing; a value is wanted"),
        ("study.json", "[" * 100_000, "study.json: nested too deeply"),
        (
            "study.json",
            edited(methods=[{"name": 3, "type": "x"}]),
            "'methods[0].name': 3; a text is wanted",
        ),
        (
            "study.json",
            edited(tasks=[{**TASK, "probe": "no"}]),
            "'tasks[0].probe': 'no'; true or false is wanted",
        ),
        ("study.json", edited(seeds=["x"]), "'seeds[0]': 'x'; a whole number is wanted"),
        ("study.json", edited(seeds=None), "'seeds': None; a list is wanted"),
        (
            "study.json",
            edited(tasks=[TASK, {**TASK, "position": 1, "task": "b"}]),
            "seed_3: timings after tasks 0; there should be one after each of 0, 1",
        ),
        (
            "runs/dense/seed_3/events.jsonl",
            '{"method": "dense", "seed": 3, "task": "x", '
            '"name": "a", "kind": "fresh", "sentence": "s", "path": 3}',
            "events.jsonl, line 1, 'task': 'x'; a whole number is wanted",
        ),
        ("runs/dense/seed_3/rows.csv", "a,b\n", "rows.csv, line 1: the columns are a,b"),
        ("runs/dense/seed_3/timings.csv", "", "timings.csv, line 1: the columns are missing"),
        ("runs/dense/seed_3/events.jsonl", "?", "events.jsonl, line 1, column 1: not JSON"),
    ],
)
def test_a_damaged_file_is_named(old: StudyFolder, file: str, text: str, wanted: str) -> None:
    folder = old
    (folder.path / file).write_text(text)
    with pytest.raises(InputError) as error:
        load_study(folder.path)
    assert wanted in str(error.value)


def test_damage_in_several_runs_is_named_at_once(folder: StudyFolder) -> None:
    for path in folder.path.glob("runs/*/*/rows.csv"):
        path.write_text("")
    with pytest.raises(InputError) as error:
        load_study(folder.path)
    assert len(error.value.problems) == 2


def test_a_run_that_was_copied_elsewhere_is_found(folder: StudyFolder) -> None:
    folder.run_folder("dense", 3).rename(folder.run_folder("dense", 5))
    with pytest.raises(InputError, match="line 2: of method 'dense' and seed 3; by its folder"):
        load_study(folder.path)


def test_a_missing_file_of_a_run_is_named(old: StudyFolder) -> None:
    (old.run_folder("dense", 3) / "rows.csv").unlink()
    with pytest.raises(InputError, match=r"rows\.csv: no such file"):
        load_study(old.path)


def test_what_is_no_study_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such folder"):
        load_study(tmp_path / "none")
    with pytest.raises(InputError, match="no study here"):
        load_study(tmp_path)
    StudyFolder(tmp_path / "empty").describe(DESCRIPTION)
    with pytest.raises(InputError, match="no run is complete"):
        load_study(tmp_path / "empty")


def test_a_study_says_what_its_data_and_choices_were(tmp_path: Path) -> None:
    folder = StudyFolder(tmp_path)
    grid = {"name": "dense", "type": "dense", "grid": {"rate": [1, 2]}, "chosen": {"rate": 2}}
    taken = {"sources": {"mnist": {"type": "digits", "parameters": {}}}}
    folder.describe({**DESCRIPTION, "methods": [grid], "spec": taken})
    tried = {"method": "dense", "seed": 0, "value": 0.5, "chosen": "no"}
    folder.write_tuning(
        [tried | {"setting": k, "parameters": f'{{"rate": {k + 1}}}'} for k in range(2)]
    )
    write(folder, "dense", "dense", seed=0, parameters={"rate": 2}, spec=taken)
    data = load_study(tmp_path)
    assert data.sources == {"mnist": "digits"}
    assert data.tuned == {"dense": {"rate": (2, [1, 2])}}
