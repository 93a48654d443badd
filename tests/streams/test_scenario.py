"""Scenarios: read, checked all at once, overridden, written back."""

from __future__ import annotations

import copy
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cl_moe.errors import InputError
from cl_moe.streams.scenario import ScenarioSpec, load_scenario, shipped_scenarios

GOOD: dict[str, Any] = {
    "name": "good",
    "baseline": "dense",
    "sources": {"d": {"type": "digits"}, "s": {"type": "synthetic", "dim": 64}},
    "stream": {"shape": [1, 8, 8]},
    "tasks": [
        {"name": "a", "source": "d", "classes": [0, 1, 2], "per_class": 10},
        {"name": "b", "from": "a", "operators": [{"operator": "rotate", "degrees": 90}]},
        {"name": "s1", "source": "s"},
        {"name": "s2", "source": "s", "related_to": "s1", "relatedness": 0.8},
    ],
    "probes": [{"name": "p", "from": "a", "per_class": [1, 2]}],
    "methods": ["dense", {"name": "weak", "type": "ewc", "strength": 1}, {"name": "moe"}],
}


def problems(data: dict[str, Any]) -> list[str]:
    with pytest.raises(InputError) as caught:
        ScenarioSpec.from_dict(data)
    return caught.value.problems


def changed(path: str, value: Any) -> dict[str, Any]:
    """Return GOOD with the value at a dotted path set."""
    data = copy.deepcopy(GOOD)
    *way, last = path.split(".")
    place: Any = data
    for step in way:
        place = place[int(step)] if isinstance(place, list) else place.setdefault(step, {})
    if isinstance(place, list):
        place[int(last)] = value
    else:
        place[last] = value
    return data


def test_a_good_scenario_is_read() -> None:
    spec = ScenarioSpec.from_dict(GOOD)
    assert [method.type for method in spec.methods] == ["dense", "ewc", "moe"]
    assert spec.methods[1].parameters == {"strength": 1}
    assert spec.tasks[1].from_ == "a"
    assert [probe.name for probe in spec.probe_specs()] == ["p@1", "p@2"]
    assert spec.training.epochs == 5


def test_without_methods_there_are_the_usual_ones() -> None:
    data = {key: value for key, value in GOOD.items() if key != "methods"}
    spec = ScenarioSpec.from_dict(data)
    assert {"dense", "ewc", "single_task", "moe"} <= {method.name for method in spec.methods}


def test_a_scenario_survives_being_written_down() -> None:
    spec = ScenarioSpec.from_dict(GOOD)
    assert ScenarioSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("titel", "x", "titel: unknown key; did you mean 'title'?"),
        ("seeds", 0, "seeds: 0 is too small; give 1 or more"),
        ("seeds", "many", "seeds: 'many' is not a whole number"),
        ("training.epohcs", 3, "training.epohcs: unknown key; did you mean 'epochs'?"),
        ("training.epochs", 0, "training.epochs: 0 is too small; give 1 or more"),
        ("training.learning_rate", 0, "training.learning_rate: 0 is too small; give more than 0"),
        (
            "training.optimizer",
            "adma",
            "training.optimizer: 'adma' is unknown; did you mean 'adam'",
        ),
        ("network.hidden", [0], "network.hidden: [0] holds a width below 1"),
        ("network.kind", "mpl", "network.kind: no expert is called 'mpl'; did you mean 'mlp'?"),
        ("stream.shape", [8, 8], "stream.shape: [8, 8] is neither [features] nor"),
        ("stream.order", "shufled", "stream.order: 'shufled' is unknown; did you mean 'shuffled'?"),
        ("baseline", "dens", "baseline: no method 'dens'; did you mean 'dense'?"),
        ("sources", 3, "sources: 3 is not a table"),
        (
            "sources.d.type",
            "digit",
            "sources.d.type: no source is called 'digit'; did you mean 'digits'",
        ),
        ("sources.s.dimm", 3, "sources.s.dimm: no such parameter; did you mean 'dim'?"),
        ("sources.s.dim", "x", "sources.s.dim: 'x' is not an int"),
        ("sources.s.classes", 1, "sources.s.classes: 1 is too small; give 2 or more"),
        (
            "sources.d.any_of",
            [{"type": "digits"}],
            "sources.d: give either a type or a list any_of",
        ),
        (
            "sources.m",
            {"type": "torchvision", "dataset": "MNITS"},
            "sources.m.dataset: no 'MNITS'; did you mean 'MNIST'?",
        ),
        ("sources.m", {"type": "csv"}, "sources.m.path: missing"),
        (
            "sources.m",
            {"type": "no.such:thing"},
            "sources.m.type: 'no.such:thing' cannot be loaded",
        ),
        ("tasks", [], "tasks: none"),
        ("tasks", "abc", "tasks: 'abc' is not a list of tables; write [[tasks]]"),
        ("tasks.0.sorce", "d", "tasks[0].sorce: unknown key; did you mean 'source'?"),
        ("tasks.0.source", "e", "tasks[0].source: no source 'e'; known: d, s"),
        ("tasks.0.from", "s1", "tasks[0]: give either source or from"),
        ("tasks.0.classes", [0], "tasks[0].classes: a task needs two classes or more"),
        ("tasks.0.classes", [0, 0], "tasks[0].classes: a class is given twice"),
        ("tasks.0.classes", 1.5, "tasks[0].classes: 1.5 is not a list"),
        ("tasks.0.per_class", -1, "tasks[0].per_class: -1 is too small; give 1 or more"),
        ("tasks.0.name", "b", "tasks: two are called 'b'"),
        ("tasks.0.name", " ", "tasks[0].name: ' ' is not a valid name; give a text on one line"),
        ("name", "../x", "name: '../x' cannot name the folder of results"),
        ("seeds", 10**20, "seeds: 100000000000000000000 is too large; give 10000 or less"),
        ("training.learning_rate", float("inf"), "training.learning_rate: inf is not a finite"),
        ("tasks.0.name", "a@1", "tasks[0].name: 'a@1' contains an @"),
        ("tasks.0.variant", "v", "tasks[0].variant: source 'd' (digits) has no variants"),
        (
            "tasks.1",
            {"name": "b", "from": "a", "related_to": "s1", "relatedness": 0.5},
            "tasks[1]: variant and related_to go with source",
        ),
        ("tasks.1.from", "s2", "tasks[1].from: 's2' is not earlier in the file; move it up"),
        ("tasks.1.from", "zz", "tasks[1].from: no earlier task 'zz'"),
        (
            "tasks.1.operators.0.operator",
            "rotat",
            "tasks[1].operators[0].operator: no operator is called 'rotat'; did you",
        ),
        (
            "tasks.1.operators.0.degree",
            3,
            "tasks[1].operators[0].degree: no such parameter; did you mean",
        ),
        (
            "tasks.1.operators.0.degrees",
            float("inf"),
            "tasks[1].operators[0].degrees: inf is not a finite number",
        ),
        ("tasks.3.relatedness", 1.5, "tasks[3].relatedness: 1.5 is too large; give 1 or less"),
        ("tasks.3.related_to", "s9", "tasks[3].related_to: no earlier variant 's9'"),
        ("tasks.3.variant", "s1", "tasks[3].related_to: variant 's1' is set by an earlier task"),
        ("probes.0.per_class", [0, 1], "probes[0].per_class: [0, 1] is not a size of 1 or more"),
        ("probes.0.from", "zz", "probes[0].from: no earlier task 'zz'"),
        ("methods.0", {"nam": "dense"}, "methods[0].name: missing; give a text"),
        ("methods.0", "dens", "methods[0].type: no method is called 'dens'; did you mean 'dense'?"),
        ("methods.1.name", "dense", "methods: two are called 'dense'"),
        (
            "methods.1.strenght",
            2,
            "methods[1].strenght: no such parameter; did you mean 'strength'?",
        ),
        ("methods.1.strength", "x", "methods[1].strength: 'x' is not a finite number"),
        ("methods.1.strength", float("nan"), "methods[1].strength: nan is not a finite number"),
        ("methods.1.parameters", 3, "methods[1].parameters: 3 is not a table"),
        ("methods.1.name", "a\nb", "methods[1].name: 'a\\nb' is not a valid name"),
        ("methods.1.name", "ü" * 50, "methods[1].name: 'üüüüüüüüüüüüüüüüüüüü...' is too long"),
        ("methods.1.grid", {"strenght": [1]}, "methods[1].strenght: no such parameter"),
        ("methods.1.grid", {"strength": []}, "methods[1].grid: 'strength' has no value to try"),
        (
            "methods.1.grid",
            {"strength": [1, "x"]},
            "methods[1].strength: 'x' is not a finite number",
        ),
        (
            "methods.2.gate",
            "taks",
            "methods[2].gate: no gate is called 'taks'; did you mean 'task'?",
        ),
        ("methods.2.growth", "relatednes", "methods[2].growth: no growth is called"),
        (
            "methods.2.growth_options",
            {"no_such": 1},
            "methods[2].growth_options.no_such: no such parameter",
        ),
        (
            "generate",
            {
                "sources": ["d"],
                "phases": [{"tasks": 1, "per_class": [1, 2], "shares": [float("nan"), 1.0]}],
            },
            "generate.phases[0].shares[0]: nan is not a finite number",
        ),
        (
            "generate",
            {"sources": ["q"], "phases": [{"tasks": 1, "per_class": [1]}]},
            "generate.sources[0]: no source 'q'",
        ),
        (
            "generate",
            {"sources": ["d"], "phases": [{"tasks": 1, "per_class": [1], "shares": [0.5]}]},
            "generate.phases[0]: shares: [0.5]; give one share",
        ),
    ],
)
def test_each_fault_is_named_with_its_place(path: str, value: Any, sentence: str) -> None:
    found = problems(changed(path, value))
    assert any(problem.startswith(sentence) for problem in found), found


def test_all_faults_are_named_at_once() -> None:
    data = changed("training.epochs", 0)
    data["tasks"][0]["sorce"] = "d"
    data["tasks"][3]["related_to"] = "zz"
    data["methods"][1]["strenght"] = 3
    data["sources"]["s"]["dimm"] = 3
    data["network"] = {"kind": "mpl", "hiden": [3]}
    text = "\n".join(problems(data))
    for word in ("training.epochs", "sorce", "zz", "strenght", "dimm", "mpl", "hiden"):
        assert word in text


def test_a_table_with_a_fault_is_still_checked_for_others() -> None:
    data = changed("tasks.0.per_class", 0)
    data["tasks"][0]["source"] = "e"
    assert len(problems(data)) == 2


@pytest.mark.parametrize(
    ("settings", "path", "value"),
    [
        (["training.epochs=1"], "training.epochs", 1),
        (["tasks.0.per_class=3"], "tasks.0.per_class", 3),
        (["tasks.a.group=rich"], "tasks.0.group", "rich"),
        (["methods.weak.strength=0.5"], "methods.1.parameters.strength", 0.5),
        (["sources.s.noise=0.1"], "sources.s.parameters.noise", 0.1),
        (["stream.shape=[1, 4, 4]"], "stream.shape", [1, 4, 4]),
        (["tasks.b.operators.0.degrees=45"], "tasks.1.operators.0.parameters.degrees", 45),
        (["title=a = b"], "title", "a = b"),
        (["methods.moe.growth_options.x=1"], None, None),
    ],
)
def test_overrides(settings: list[str], path: str | None, value: Any) -> None:
    spec = ScenarioSpec.from_dict(GOOD)
    if path is None:
        with pytest.raises(InputError, match=r"growth_options\.x: no such parameter"):
            spec.with_overrides(settings)
        return
    place: Any = spec.with_overrides(settings).to_dict()
    for step in path.split("."):
        place = place[int(step)] if isinstance(place, list) else place[step]
    assert place == value


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ("training.epochs", "give key=value"),
        ("training.epohcs=3", "training.epohcs: unknown key; did you mean 'epochs'"),
        ("trainin.epochs=3", "trainin: unknown key; did you mean 'training'"),
        ("tasks.aa.per_class=3", "no item 'aa' in the list; did you mean 'a'|known: "),
        ("tasks.9.per_class=3", "no item '9' in the list"),
        ("methods.weak.strenght=1", "strenght: no such parameter; did you mean 'strength'"),
        ("seeds.x=1", "'seeds' is a value, not a table"),
    ],
)
def test_wrong_overrides_are_named(setting: str, words: str) -> None:
    with pytest.raises(InputError, match=words):
        ScenarioSpec.from_dict(GOOD).with_overrides([setting])


def test_files_and_names(tmp_path: Path) -> None:
    path = tmp_path / "mine.toml"
    text = '[sources.d]\ntype = "digits"\n[[tasks]]\nname = "a"\nsource = "d"\n'
    path.write_text(text, encoding="utf-8")
    assert load_scenario(path).name == "mine"
    assert load_scenario("digits-quick").name == "digits_quick"
    path.write_text("a = [", encoding="utf-8")
    with pytest.raises(InputError, match=r"mine\.toml: not valid TOML"):
        load_scenario(path)
    with pytest.raises(InputError, match="no scenario file or name 'nothing'"):
        load_scenario("nothing")


def test_the_schema_imports_no_torch() -> None:
    code = "import sys, cl_moe.streams.scenario as s; assert 'torch' not in sys.modules"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize("name", sorted(shipped_scenarios()))
def test_every_shipped_scenario_explains_itself(name: str) -> None:
    spec = load_scenario(name)
    assert spec.name == name
    assert spec.title
    assert len(spec.description) > 60
    assert spec.baseline in {method.name for method in spec.methods}
    assert ScenarioSpec.from_dict(spec.to_dict()) == spec


@pytest.mark.parametrize("name", sorted(shipped_scenarios()))
def test_every_shipped_scenario_builds_with_nothing_at_hand(name: str, tmp_path: Path) -> None:
    data = load_scenario(name).to_dict()
    for task in (*data["tasks"], *data["probes"]):
        task |= {"per_class": 2, "test_per_class": 2}
    if "generate" in data:
        data["generate"]["test_per_class"] = 2
    spec = ScenarioSpec.from_dict(data)
    stream = spec.build_stream(seed=1, data_dir=tmp_path)
    assert [task.name for task in stream] == [task.name for task in spec.task_specs()]
    assert len(stream.probes) == len(spec.probe_specs())
    assert all(task.n_test > 0 for task in stream)


def test_the_long_stream_has_a_hundred_tasks() -> None:
    tasks = load_scenario("long_stream").task_specs()
    assert len(tasks) == 100
    rich = [task.group == "rich" for task in tasks]
    assert 8 <= sum(rich[:33]) <= 25
    assert 2 <= sum(rich[33:66]) <= 16
    assert not any(rich[66:])
