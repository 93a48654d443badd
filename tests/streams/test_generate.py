"""Long streams drawn at random: tasks that come back, and draws that stay as they were."""

from __future__ import annotations

from typing import Any

import pytest
from pydantic import ValidationError

from cl_moe.streams.generate import GenerateSpec, generated_tasks
from cl_moe.streams.scenario import ScenarioSpec


def spec(**more: Any) -> GenerateSpec:
    phases = [{"tasks": 60, "per_class": [4, 8]}]
    return GenerateSpec.model_validate({"sources": ["a", "b"], "phases": phases, **more})


def test_a_share_of_the_tasks_are_earlier_ones_again() -> None:
    tasks = generated_tasks(spec(recurring=0.5))
    again = [task for task in tasks if task.from_ is not None]
    assert 20 <= len(again) <= 40
    position = {task.name: k for k, task in enumerate(tasks)}
    for task in again:
        first = tasks[position[task.from_]]
        assert position[first.name] < position[task.name]
        assert first.source is not None, "what comes back is a task, not its return"
        assert task.group == "recurring"


def test_the_draw_is_as_it_was_where_nothing_recurs() -> None:
    names = [task.name for task in generated_tasks(spec())][:6]
    assert names == [task.name for task in generated_tasks(spec(recurring=0.0))][:6]
    assert all(task.source for task in generated_tasks(spec()))


@pytest.mark.parametrize("share", [-0.1, 1.0])
def test_a_share_is_below_one(share: float) -> None:
    with pytest.raises(ValidationError):
        spec(recurring=share)


def test_what_comes_back_has_the_same_classes_and_other_examples() -> None:
    data = {
        "name": "again",
        "methods": [],
        "sources": {"a": {"type": "glyphs", "classes": 9, "size": 6}},
        "generate": {
            "sources": ["a"],
            "classes": 3,
            "recurring": 0.9,
            "phases": [{"tasks": 4, "per_class": [5]}],
            "test_per_class": 2,
        },
    }
    first, again, *_ = ScenarioSpec.from_dict(data).build_stream(0)
    assert first.classes == again.classes
    assert again.derived_from == first.name
    assert again.relation == "recurring"
    assert not (first.tensors("train")[0] == again.tensors("train")[0]).all()
