from __future__ import annotations

import pytest

from cl_moe.streams.scenario import ScenarioSpec, load_scenario
from cl_moe.streams.sizes import scenario_sizes, stream_sizes

SHIPPED = ("digits_quick", "long_stream", "unseen_task", "recurring", "low_resource", "capacity")


@pytest.mark.parametrize("name", SHIPPED)
def test_sizes_are_those_of_the_stream_that_is_built(name: str) -> None:
    spec = load_scenario(name).resolve()
    said, built = scenario_sizes(spec), stream_sizes(spec.build_stream(seed=0))
    for probe in (False, True):
        ours = [size for size in said if size.probe is probe]
        theirs = [size for size in built if size.probe is probe]
        assert sum(size.count for size in ours) == len(theirs)
        assert {(s.classes, s.shape) for s in ours} == {(s.classes, s.shape) for s in theirs}
        for split in ("train", "test"):
            rows = sum(size.count * getattr(size, split) for size in ours)
            # classes that are drawn at random have their mean size here
            assert rows == pytest.approx(sum(getattr(size, split) for size in theirs), rel=0.03)


def test_operators_that_leave_out_examples() -> None:
    task = {"name": "a", "source": "s", "operators": [{"operator": "subset", "classes": [2, 0]}]}
    few = {"name": "b", "from": "a", "operators": [{"operator": "per_class", "n": 3, "test": 2}]}
    source = {"type": "synthetic", "classes": 4, "train_per_class": 7, "test_per_class": 5}
    data = {"name": "t", "methods": [], "sources": {"s": source}, "tasks": [task, few]}
    spec = ScenarioSpec.from_dict(data)
    said = scenario_sizes(spec)
    assert [(s.train, s.test, s.classes) for s in said] == [(14, 10, 2), (6, 4, 2)]
    assert said == stream_sizes(spec.build_stream(seed=0))


def test_a_hundred_thousand_tasks_are_counted_and_not_made(monkeypatch: pytest.MonkeyPatch) -> None:
    phase = {"tasks": 100_000, "per_class": [5, 50], "shares": [0.5, 0.5]}
    generate = {"sources": ["s"], "classes": 3, "test_per_class": 2, "phases": [phase]}
    source = {"type": "synthetic", "classes": 4}
    monkeypatch.setattr("cl_moe.streams.generate.TaskSpec", None)  # none is described either
    spec = ScenarioSpec.from_dict(
        {"name": "t", "methods": [], "sources": {"s": source}, "generate": generate}
    ).resolve()
    sizes = scenario_sizes(spec)
    assert sorted((size.train, size.test) for size in sizes) == [(15, 6), (150, 6)]
    assert sum(size.count for size in sizes) == 100_000
