"""Files of a study that were changed, lost or added, in the folder of a study and in an export."""

from __future__ import annotations

import copy
import gzip
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import cl_moe
from benchmarks.reliability.parts import damage as part
from cl_moe.analysis import report
from cl_moe.errors import InputError
from cl_moe.runs.folder import digests
from cl_moe.runs.folder.checking import Expected, run_problems, tuning_problems
from cl_moe.runs.folder.export import export
from cl_moe.runs.folder.loading import load_study
from cl_moe.runs.folder.schema import description_problems, event_problems
from cl_moe.runs.outcome import Study

SPEC = {
    "name": "toy",
    "baseline": "dense",
    "sources": {"blobs": {"type": "synthetic", "dim": 6, "classes": 2}},
    "tasks": [
        {"name": name, "source": "blobs", "per_class": 6, "test_per_class": 5} for name in "ab"
    ],
    "probes": [{"name": "new", "source": "blobs", "per_class": 3, "test_per_class": 5}],
    "training": {"epochs": 1, "min_steps": 0},
    "network": {"hidden": [4]},
    "methods": [
        {"name": "dense"},
        {"name": "ewc", "grid": {"strength": [1, 100]}},
        {"name": "moe"},
    ],
}


@pytest.fixture(scope="module")
def scenario() -> cl_moe.ScenarioSpec:
    return cl_moe.ScenarioSpec.from_dict(SPEC)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, scenario: cl_moe.ScenarioSpec) -> Path:
    """A folder with a study, ``run``, and its export, ``packed``; not to be changed."""
    folder = tmp_path_factory.mktemp("studies")
    cl_moe.run(scenario, seeds=1, out=folder / "run", keep_models=True, progress=False)
    cl_moe.transfer(scenario, ["dense"], seeds=1, out=folder / "run", progress=False)
    export(folder / "run", folder / "packed")
    return folder


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole / "run", tmp_path / "run")


@pytest.fixture
def packed(whole: Path, tmp_path: Path) -> Path:
    return shutil.copytree(whole / "packed", tmp_path / "packed")


def as_before_digests(folder: Path) -> Path:
    """Make a folder what earlier versions wrote."""
    for path in folder.rglob("digests.json"):
        path.unlink()
    for path in [*folder.rglob("spec.json"), folder / "environment.json"]:
        if path.exists():
            content = json.loads(path.read_text())
            content.pop("format", None)
            path.write_text(json.dumps(content))
    return folder


def changed_byte(content: bytes) -> bytes:
    if not content:
        return content
    middle = len(content) // 2
    return content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "a bit": changed_byte,
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda content: b"",
    "longer": lambda content: content + b"\n",
}


def read_files(folder: Path) -> list[Path]:
    """Return the files of a study whose content is read or is the record of a run."""
    found = [path for path in sorted(folder.rglob("*")) if path.is_file()]
    return [path for path in found if path.suffix not in (".png", ".md")]


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=list(DAMAGE))
@pytest.mark.parametrize("kind", ["run", "packed"])
def test_no_changed_file_is_read(
    whole: Path, tmp_path: Path, kind: str, damage: Callable[[bytes], bytes]
) -> None:
    """Of a model, only the names: it is checked when it is loaded."""
    folder = shutil.copytree(whole / kind, tmp_path / "study")
    files = read_files(folder)
    assert len(files) > 8
    for path in files:
        content = path.read_bytes()
        blank = damage(content).strip() == content.strip() and path.name == "digests.json"
        if path.parent.name == "model" or blank or damage(content) == content:
            continue
        path.write_bytes(damage(content))
        with pytest.raises(InputError) as error:
            load_study(folder)
        told = str(error.value)
        assert path.name in told, told
        path.write_bytes(content)
    load_study(folder)


@pytest.mark.filterwarnings("ignore")
def test_kinds_of_damage_to_files_and_checkpoints():
    result = part.run(30)
    assert (result.cases, result.failures) == (30, 0), result.note


@pytest.mark.filterwarnings("ignore")
def test_accepted_damage_is_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without digests, some changed numbers are read."""
    monkeypatch.setattr(digests, "changed", lambda *_, **__: [])
    monkeypatch.setattr("cl_moe.runs.folder.records.changed", lambda *_, **__: [])
    monkeypatch.setattr(part, "DAMAGE", {"another digit": part.DAMAGE["another digit"]})
    result = part.run(60)
    assert result.wrong > 0
    assert "other numbers are accepted" in result.note


@pytest.mark.parametrize("kind", ["run", "packed"])
def test_a_lost_file_is_named(whole: Path, tmp_path: Path, kind: str) -> None:
    folder = shutil.copytree(whole / kind, tmp_path / "study")
    for path in read_files(folder):
        if path.parent == folder and path.name in ("study.json", "digests.json", "rows.csv.gz"):
            continue  # no study, or one of an earlier version
        content = path.read_bytes()
        path.unlink()
        with pytest.raises(InputError, match=path.name.replace(".", r"\.")):
            load_study(folder)
        path.write_bytes(content)


def test_a_file_that_does_not_belong_to_a_run_is_named(run: Path) -> None:
    place = run / "runs" / "dense" / "seed_0"
    (place / ".DS_Store").touch()
    load_study(run)
    (place / "model" / "more.bin").touch()
    with pytest.raises(InputError, match=r"seed_0: model/more\.bin was added since the run"):
        load_study(run)


def test_the_message_tells_what_to_do(run: Path, packed: Path) -> None:
    rows = run / "runs" / "dense" / "seed_0" / "rows.csv"
    rows.write_text(rows.read_text().replace("0.", "0.1", 1))
    (run / "runs" / "moe" / "seed_0" / "events.jsonl").unlink()
    with pytest.raises(InputError) as error:
        load_study(run)
    assert error.value.problems == [
        f"{run}/runs/{name}/seed_0: {what} since the run was written; remove the run "
        f"(rm -r {run}/runs/{name}/seed_0), and run the study again"
        for name, what in (("dense", "rows.csv was changed"), ("moe", "events.jsonl is missing"))
    ]
    (packed / "summary.json").write_text("{}")
    with pytest.raises(InputError, match=r"summary\.json was changed since the export; restore it"):
        load_study(packed)


def test_a_damaged_run_is_neither_skipped_nor_replaced(
    run: Path, scenario: cl_moe.ScenarioSpec
) -> None:
    place = run / "runs" / "dense" / "seed_0"
    (place / "timings.csv").write_text("")
    before = sorted(run.rglob("*"))
    with pytest.raises(InputError, match=r"timings\.csv was changed .*rm -r .*/dense/seed_0"):
        cl_moe.run(scenario, seeds=1, out=run, progress=False)
    assert sorted(run.rglob("*")) == before
    shutil.rmtree(place)
    again = cl_moe.run(scenario, seeds=1, out=run, progress=False)
    assert again.data.method_names[0] == "dense"
    (run / "study.json").write_text("{")
    with pytest.raises(InputError, match=r"study\.json, line 1"):
        cl_moe.run(scenario, seeds=1, out=run, progress=False)
    assert cl_moe.run(scenario, ["dense"], seeds=1, out=run, fresh=True, progress=False)


def test_a_damaged_model_is_not_loaded(run: Path) -> None:
    place = run / "runs" / "dense" / "seed_0" / "model"
    text = (place / "model.json").read_text()
    study = load_study(run)
    study.model("dense")
    (place / "model.json").write_text(text.replace("\n", " \n", 1))
    load_study(run)
    with pytest.raises(InputError, match=r"model/model\.json was changed"):
        study.model("dense")


@pytest.mark.parametrize("kind", ["run", "packed"])
def test_a_folder_of_an_earlier_version_is_read_with_a_note(
    whole: Path, tmp_path: Path, kind: str
) -> None:
    new = load_study(whole / kind)
    assert new.note is None
    old = load_study(as_before_digests(shutil.copytree(whole / kind, tmp_path / "study")))
    assert old.rows.equals(new.rows)
    assert old.pairs.equals(new.pairs)
    assert old.note is not None
    assert "without digests, of an earlier version" in old.note


@pytest.mark.parametrize("name", ["study.json", "tuning.csv"])
def test_a_kill_between_digest_and_file_costs_nothing(
    run: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = run / name
    before, text = path.read_text(), path.read_text() + "\n"

    def killed(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(digests, "write_text", killed)
    with pytest.raises(KeyboardInterrupt):
        digests.rewrite(path, text)
    assert path.read_text() == before
    assert digests.has_digest(path)
    monkeypatch.undo()
    right, calls = digests._write, []

    def second_is_killed(*given: Any) -> None:
        calls.append(given)
        if len(calls) == 2:
            raise KeyboardInterrupt
        right(*given)

    monkeypatch.setattr(digests, "_write", second_is_killed)
    with pytest.raises(KeyboardInterrupt):
        digests.rewrite(path, text)
    assert path.read_text() == text
    assert digests.has_digest(path)
    path.write_text(before + "\n\n")
    assert not digests.has_digest(path)


ROW = {"after_task": 0, "task": "a", "metric": "accuracy", "value": 0.5, "epoch": None}
LOSS, STEPS = ROW | {"metric": "loss"}, ROW | {"metric": "steps", "value": 3.0}
REST = [row | {"after_task": 1, "task": task} for task in "ab" for row in (ROW, LOSS)]
REST.append(STEPS | {"after_task": 1, "task": "b"})
FULL = [ROW, LOSS, STEPS, *REST]
TIMES = [{"after_task": 0}, {"after_task": 1}]


@pytest.mark.parametrize(
    ("rows", "wanted"),
    [
        ([ROW | {"value": 1.01}], "accuracy of 'a' after task 0 is 1.01; 0 to 1 is right"),
        ([ROW | {"value": float("nan")}], "is nan; 0 to 1"),
        ([LOSS | {"value": -0.5}], "loss of 'a' after task 0 is -0.5; 0 or more is right"),
        ([STEPS | {"value": -1.0}], "steps of 'a' after task 0 is -1; 0 or more"),
        ([STEPS | {"value": float("inf")}], "steps of 'a' after task 0 is inf"),
        ([ROW | {"metric": "rmse", "value": float("nan")}], "rmse of 'a' after task 0 is nan"),
        ([ROW | {"metric": "acuracy"}], "no metric 'acuracy'; did you mean 'accuracy'?"),
        ([STEPS | {"epoch": 1}], "steps of 'a' has an epoch"),
        ([ROW | {"task": "c"}], "there is no such task then"),
        ([ROW | {"after_task": 2}], "there is no such task then"),
        (FULL[1:], "of 'a' after task 0 there is loss alone"),
        ([ROW, *FULL[2:]], "of 'a' after task 0 there is accuracy alone"),
        ([ROW, LOSS, *REST], "no steps or costs of 'a'"),
        ([ROW, LOSS, STEPS, *REST[2:]], "no evaluation of 'a' after task 1"),
        ([*FULL, STEPS | {"metric": "experts"}], "no steps or costs of 'b'"),
        ([*FULL, ROW | {"epoch": 0}, ROW | {"epoch": 2}], "learning curve of 'a' after task 0"),
    ],
)
def test_rows_that_cannot_be_are_named(rows: list[dict[str, Any]], wanted: str) -> None:
    assert run_problems(FULL, TIMES, Expected("ab", [])) == []
    (problem, *_) = run_problems(rows, TIMES, Expected("ab", []))
    assert wanted in problem


def test_what_diverged_is_right() -> None:
    lost = [row | {"value": float("nan")} if row["metric"] == "loss" else row for row in FULL]
    assert run_problems(lost, TIMES, Expected("ab", [])) == []
    mean = ROW | {"metric": "rmse", "value": float("nan")}
    off = [ROW | {"metric": "r2", "value": float("-inf")}, mean, LOSS | {"value": float("inf")}]
    assert run_problems([*off, STEPS], TIMES[:1], Expected("a", [])) == []


def test_tasks_without_a_timing_are_named() -> None:
    for times in ([], TIMES[:1], [*TIMES, *TIMES]):
        (problem,) = run_problems(FULL, times, Expected("ab", []))
        assert "there should be one after each of 0, 1" in problem
    assert run_problems(REST, TIMES[1:], Expected("ab", [])) == []  # learned jointly


def test_a_setting_that_was_lost_is_named() -> None:
    row = {"method": "ewc", "parameters": "{}", "value": 0.5, "chosen": "perhaps"}
    method = {"name": "ewc", "grid": {"strength": [1, 2, 2]}, "chosen": {"strength": 1}}
    assert tuning_problems([row], [method], Path("t.csv")) == [
        "t.csv, line 2: chosen is 'perhaps'; yes or no is right",
        "t.csv: 1 of 2 settings of 'ewc'; is it cut off?",
    ]


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-3, 3)
    | st.sampled_from([10**30, 1.5, float("nan"), float("inf")])
    | st.sampled_from(["", "a", "dense", "\ud800", "\x1b[31m"]),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.sampled_from(["name", "task", "e0", "strength"]), inner, max_size=2)
    ),
    max_leaves=4,
)


def places(value: Any, at: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner = value.items() if isinstance(value, dict) else enumerate(value)
    found = [at] if at else []
    if isinstance(value, (dict, list)):
        for key, item in inner:
            found += places(item, (*at, key)) if isinstance(item, (dict, list)) else [(*at, key)]
    return found


@st.composite
def edited(draw: st.DrawFn, content: Any) -> Any:
    """Draw a JSON value with one or two places replaced or removed."""
    content = copy.deepcopy(content)
    for _ in range(draw(st.integers(1, 2))):
        (*way, last) = draw(st.sampled_from(places(content) or [(0,)]))
        parent = content
        for key in way:
            parent = parent[key]
        if draw(st.booleans()):
            parent[last] = draw(JSON)
        elif isinstance(parent, dict):
            del parent[last]
    return content


def read_to_the_end(folder: Path) -> None:
    """Read a study as its commands do."""
    try:
        data = load_study(folder)
        Study(data).table()
        report(data)
    except InputError as error:
        str(error).encode()


# Each example is read again by every command, and writes its file anew.
FUZZ = settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)


@FUZZ
@given(drawn=st.data())
def test_no_study_json_gives_a_traceback(whole: Path, drawn: st.DataObject) -> None:
    description = json.loads((whole / "packed" / "study.json").read_text())
    description_problems(drawn.draw(JSON.filter(lambda value: isinstance(value, dict))))
    folder = whole / "fuzzed-study"
    if not folder.exists():
        as_before_digests(shutil.copytree(whole / "packed", folder))
    (folder / "study.json").write_text(json.dumps(drawn.draw(edited(description))))
    read_to_the_end(folder)


@FUZZ
@given(drawn=st.data())
def test_no_event_gives_a_traceback(whole: Path, drawn: st.DataObject) -> None:
    lines = gzip.decompress((whole / "packed" / "events.jsonl.gz").read_bytes()).splitlines()
    events = [json.loads(line) for line in lines]
    assert list(event_problems(events)) == []
    folder = whole / "fuzzed-events"
    if not folder.exists():
        as_before_digests(shutil.copytree(whole / "packed", folder))
    new = drawn.draw(edited(events))
    text = "".join(json.dumps(event) + "\n" for event in new)
    (folder / "events.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    read_to_the_end(folder)


@FUZZ
@given(drawn=st.data())
def test_no_byte_gives_a_traceback(whole: Path, drawn: st.DataObject) -> None:
    """In folders without digests; with them, no changed byte is read."""
    kind = drawn.draw(st.sampled_from(["run", "packed"]))
    folder = whole / f"bytes-{kind}"
    if not folder.exists():
        as_before_digests(shutil.copytree(whole / kind, folder))
    path = drawn.draw(st.sampled_from([p for p in read_files(folder) if p.parent.name != "model"]))
    right = path.read_bytes()
    packed = path.suffix == ".gz"
    content = gzip.decompress(right) if packed else right
    start = drawn.draw(st.integers(0, len(content)))
    end = drawn.draw(st.integers(start, min(start + 9, len(content))))
    new = content[:start] + drawn.draw(st.binary(max_size=4)) + content[end:]
    path.write_bytes(gzip.compress(new) if packed else new)
    try:
        read_to_the_end(folder)
    finally:
        path.write_bytes(right)
