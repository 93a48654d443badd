from __future__ import annotations

from pathlib import Path

import pytest
import torch

from cl_moe.errors import InputError
from cl_moe.runs.folder.description import describe, differences
from cl_moe.runs.planning import make_plan
from cl_moe.runs.transfer import make_pair_plan
from cl_moe.streams.scenario import load_scenario
from cl_moe.streams.stream import TaskStream


def problems(**arguments: object) -> list[str]:
    with pytest.raises(InputError) as error:
        make_plan(**arguments)  # type: ignore[arg-type]
    return error.value.problems


def test_a_scenario_gives_its_own_methods_and_seeds(scenario: Path) -> None:
    plan = make_plan(scenario)
    assert [method.name for method in plan.methods] == ["dense", "joint"]
    assert plan.seeds == (0, 1)
    assert plan.training.epochs == 1
    assert [job.label for job in plan.jobs()] == [
        "dense, seed 0",
        "joint, seed 0",
        "dense, seed 1",
        "joint, seed 1",
    ]


def test_methods_by_label_by_type_and_by_table(scenario: Path) -> None:
    spec = load_scenario(scenario).with_overrides(["methods.dense.name=mine"])
    plan = make_plan(
        spec,
        [
            "mine",
            "ewc",
            {"name": "strong", "type": "ewc", "strength": 10.0},
            {"type": "ewc-avalanche"},
            "avalanche.training:Naive",
        ],
        seeds=[4, 2],
    )
    assert [(method.name, method.type) for method in plan.methods] == [
        ("mine", "dense"),
        ("ewc", "ewc"),
        ("strong", "ewc"),
        ("ewc-avalanche", "ewc_avalanche"),
        ("Naive", "avalanche.training:Naive"),
    ]
    assert plan.methods[2].parameters == {"strength": 10.0}
    assert plan.seeds == (4, 2)


def test_budget_and_network_are_laid_over_the_scenarios(scenario: Path) -> None:
    plan = make_plan(scenario, training={"batch_size": 7}, network={"layers": 2})
    assert (plan.training.epochs, plan.training.batch_size) == (1, 7)
    assert (plan.network.hidden, plan.network.layers) == ([8], 2)


ALIAS = "alone"  # an alias of single_task


def test_an_alias_stands_for_a_methods_name(stream: TaskStream) -> None:
    """In lists, in tables, as the baseline and as a label."""
    plan = make_plan(
        stream, ["dense", ALIAS, {"name": "mine", "type": ALIAS}], seeds=1, baseline=ALIAS
    )
    assert [(method.name, method.type) for method in plan.methods[1:]] == [
        ("single_task", "single_task"),
        ("mine", "single_task"),
    ]
    assert plan.baseline == "single_task"
    labelled = make_plan(stream, [{"name": ALIAS}], seeds=1, baseline=ALIAS)
    assert [(m.name, m.type) for m in labelled.methods] == [(ALIAS, "single_task")]
    assert labelled.baseline == ALIAS
    pairs = make_pair_plan(TaskStream([*stream, *stream.probes]), ["dense", ALIAS])
    assert [method.name for method in pairs.methods] == ["dense", "single_task"]


def test_a_stream_has_defaults(stream: TaskStream) -> None:
    plan = make_plan(stream)
    assert [method.name for method in plan.methods] == ["dense", "moe"]
    assert plan.seeds == (0, 1, 2, 3, 4)
    assert plan.stream(3) is stream


def test_every_problem_of_every_argument_is_named(stream: TaskStream, tmp_path: Path) -> None:
    found = problems(
        source=stream,
        methods=[
            "dens",
            {"type": "ewc", "strenght": 1},
            "dense",
            "dense",
            {"type": "si", "x": {1}},
        ],
        seeds=[1, 1],
        training={"epohcs": 1},
        network={"hidden": [0]},
        baseline="ewk",
        device="gpu",
        threads=0,
        data_dir=tmp_path / "none",
    )
    text = "\n".join(found)
    for part in (
        "device: 'gpu' is not a torch device",
        "threads: 0 is not a whole number from 1 to 1024",
        "is not a folder; give one that holds the data",
        "seeds: [1, 1] has one twice",
        "methods[0]: no method 'dens'; did you mean 'dense'?",
        "methods[1].strenght: no such parameter; did you mean 'strength'?",
        "methods: two are called 'dense'",
        "methods[4].x: set cannot be kept with the results",
        "training.epohcs: unknown key; did you mean 'epochs'?",
        "network.hidden: [0] holds a width below 1",
        "baseline: no method 'ewk'; did you mean 'ewc'?",
    ):
        assert part in text


@pytest.mark.parametrize(
    ("seeds", "wanted"),
    [
        (0, "seeds: 0 is too few"),
        (10**9, "seeds: 1000000000 is too many; give 10000 or fewer"),
        (1.5, "seeds: 1.5 is not a number of seeds"),
        ([], "seeds: none"),
        ([-1], "seeds: -1 is not a seed"),
        (["0"], "seeds: '0' is not a seed"),
    ],
)
def test_bad_seeds_are_named(stream: TaskStream, seeds: object, wanted: str) -> None:
    assert wanted in problems(source=stream, seeds=seeds)[0]


@pytest.mark.parametrize(
    ("argument", "wanted"),
    [
        ({"source": 3}, "source: 3 is not a scenario"),
        ({"methods": 3}, "methods: 3 is not a list"),
        ({"training": 3}, "training: 3 is not a table"),
        ({"network": "mlp"}, "network: 'mlp' is not a table"),
        ({"baseline": 3}, "baseline: no method '3'"),
        ({"device": "meta"}, "device: 'meta' cannot be used"),
        ({"device": "cuda:99"}, "device: 'cuda:99', but torch sees"),
        ({"device": None}, "device: 'None' is not a torch device"),
        ({"threads": 10**9}, "threads: 1000000000 is not a whole number"),
        ({"threads": "1"}, "threads: '1' is not a whole number"),
    ],
)
def test_arguments_of_a_wrong_kind_are_named(
    stream: TaskStream, argument: dict[str, object], wanted: str
) -> None:
    (problem,) = problems(**{"source": stream, **argument})
    assert problem.startswith(wanted)


def test_a_device_may_be_torchs_own(stream: TaskStream) -> None:
    assert make_plan(stream, device=torch.device("cpu")).device == "cpu"  # type: ignore[arg-type]


def test_no_method_is_a_problem(stream: TaskStream) -> None:
    assert problems(source=stream, methods=[])[0].startswith("methods: none; known: ")


def test_what_is_found_for_a_slot_is_told_and_kept(scenario: Path) -> None:
    text = scenario.read_text().replace(
        'type = "synthetic"\ndim = 6\nclasses = 2',
        'any_of = [{ type = "torchvision", dataset = "MNIST" }, { type = "synthetic", dim = 6 }]',
    )
    scenario.write_text(text)
    empty = scenario.parent / "empty"
    empty.mkdir()
    plan = make_plan(scenario, data_dir=empty)
    assert plan.notes == ("blobs: synthetic 6",)
    source = describe(plan, [])["spec"]["sources"]["blobs"]
    assert source["type"] == "synthetic"


def test_the_description_holds_what_decides_the_rows(scenario: Path) -> None:
    one, two = make_plan(scenario), make_plan(scenario, ["ewc"], seeds=9, baseline="ewc")
    assert describe(one, [])["spec"] == describe(two, [])["spec"]
    other = make_plan(scenario, curves=False)
    assert list(differences(describe(one, [])["spec"], describe(other, [])["spec"], "")) == [
        "curves is true there and false here"
    ]


def test_a_streams_content_is_described(stream: TaskStream) -> None:
    specs = [describe(make_plan(s), [])["spec"]["stream"] for s in (stream, stream, stream[:1])]
    assert specs[0] == specs[1] != specs[2]


def test_differences_name_what_is_not_given() -> None:
    assert list(differences({"a": 1}, {"b": [1, 2]}, "")) == [
        "a is 1 there and not given here",
        "b is not given there and [1, 2] here",
    ]


def test_an_avalanche_benchmark_becomes_a_stream(stream: TaskStream) -> None:
    plan = make_plan(stream.to_benchmark())
    assert isinstance(plan.source, TaskStream)
    assert plan.task_names() == ["task0", "task1", "task2"]
