"""Recipes, draws, slots, relations."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from cl_moe.errors import InputError
from cl_moe.streams.scenario import ScenarioSpec
from cl_moe.streams.task import Task

SOURCES = {"d": {"type": "digits"}, "s": {"type": "synthetic", "dim": 64, "train_per_class": 20}}


def scenario(tasks: list[dict[str, Any]], **values: Any) -> ScenarioSpec:
    data = {"name": "x", "methods": [], "sources": SOURCES, "tasks": tasks, **values}
    return ScenarioSpec.from_dict({"stream": {"shape": [1, 8, 8]}, **data})


def rows(task: Task, split: Any = "train") -> set[bytes]:
    return {x.numpy().tobytes() for x in task.tensors(split)[0]}


def same(a: Task, b: Task) -> bool:
    return all(
        torch.equal(p, q)
        for split in ("train", "test")
        for p, q in zip(a.tensors(split), b.tensors(split), strict=True)
    )


BASE = {"name": "a", "source": "d", "classes": [3, "5", 1], "per_class": 10, "test_per_class": 5}


def test_classes_are_relabelled_in_the_order_given() -> None:
    (task,) = scenario([BASE]).build_stream(0)
    assert task.classes == ("3", "5", "1")
    assert task.labels("train").bincount().tolist() == [10, 10, 10]
    assert task.labels("test").bincount().tolist() == [5, 5, 5]
    assert not rows(task) & rows(task, "test")


def test_draws_depend_on_seed_and_name_alone() -> None:
    alone = scenario([BASE]).build_stream(4)[0]
    among = scenario([{"name": "other", "source": "d"}, BASE]).build_stream(4)[1]
    assert same(alone, among)
    assert not same(alone, scenario([BASE]).build_stream(5)[0])
    assert not same(alone, scenario([{**BASE, "name": "b"}]).build_stream(4)[0])


def test_from_takes_up_the_recipe_and_draws_its_own_examples() -> None:
    tasks = [
        {**BASE, "classes": 3, "operators": ["permute_pixels", "permute_labels"]},
        {"name": "b", "from": "a"},
        {"name": "c", "from": "a", "per_class": 142},
    ]
    a, b, c = scenario(tasks).build_stream(0)
    assert a.classes == b.classes == c.classes  # a random choice of classes is the origin's
    assert (a.n_train, b.n_train) == (30, 30)
    assert rows(a) != rows(b)
    assert rows(a) <= rows(c)  # the same permutation of pixels: the images are recognised
    first = {x.numpy().tobytes(): int(y) for x, y in zip(*c.tensors("train"), strict=True)}
    again = {x.numpy().tobytes(): int(y) for x, y in zip(*a.tensors("train"), strict=True)}
    assert all(first[image] == label for image, label in again.items())


def test_relations_are_recorded() -> None:
    tasks = [
        BASE,
        {"name": "b", "from": "a", "operators": ["invert"], "per_class": 2},
        {"name": "c", "from": "a", "classes": [7, 8]},
        {"name": "d", "from": "a", "operators": ["repeat"]},
        {"name": "e", "from": "a"},
        {"name": "f", "from": "a", "operators": ["invert"], "relation": "mine"},
        {"name": "g", "source": "d", "operators": [{"operator": "rotate", "degrees": 90}]},
        {"name": "s", "source": "s"},
        {"name": "t", "source": "s", "related_to": "s", "relatedness": 0.5},
    ]
    table = {row["task"]: row for row in scenario(tasks).build_stream(0).table()}
    assert {name: (row["derived_from"], row["relation"]) for name, row in table.items()} == {
        "a": (None, None),
        "b": ("a", "inverted input, low resource"),
        "c": ("a", "new classes"),
        "d": ("a", "recurring"),
        "e": ("a", "recurring"),
        "f": ("a", "mine"),
        "g": ("d", "rotated input"),
        "s": (None, None),
        "t": ("s", "relatedness 0.5"),
    }


def test_probes_of_several_sizes_are_nested_and_share_their_test_set() -> None:
    probes = [{"name": "p", "from": "a", "operators": ["permute_pixels"], "per_class": [1, 4]}]
    stream = scenario([BASE], probes=probes).build_stream(0)
    small, large = stream.probes
    assert (small.name, large.name) == ("p@1", "p@4")
    assert rows(small) < rows(large)
    assert rows(small, "test") == rows(large, "test")


def test_a_slot_takes_the_first_source_at_hand(tmp_path: Path) -> None:
    slot = {"any_of": [{"type": "torchvision", "dataset": "MNIST"}, {"type": "digits"}]}
    spec = scenario([BASE], sources={"d": slot})
    resolved = spec.resolve(tmp_path)
    assert resolved.sources["d"].type == "digits"
    assert ScenarioSpec.from_dict(resolved.to_dict()) == resolved
    assert same(spec.build_stream(0, tmp_path)[0], scenario([BASE]).build_stream(0)[0])


def test_what_is_not_at_hand_is_named_at_once(tmp_path: Path) -> None:
    sources = {
        "d": {"type": "torchvision", "dataset": "MNIST"},
        "e": {"any_of": [{"type": "torchvision", "dataset": "SVHN"}]},
        "unused": {"type": "torchvision", "dataset": "KMNIST"},
    }
    spec = scenario([BASE, {"name": "b", "source": "e"}], sources=sources)
    with pytest.raises(InputError) as caught:
        spec.build_stream(0, tmp_path)
    assert len(caught.value.problems) == 2
    assert caught.value.problems[0].startswith(f"sources.d: MNIST is not in {tmp_path}")
    assert "download = true" in caught.value.problems[0]


def test_all_tasks_that_cannot_be_made_are_named() -> None:
    tasks = [{**BASE, "classes": ["3", "x"]}, {**BASE, "name": "b", "classes": 11}]
    with pytest.raises(InputError) as caught:
        scenario(tasks).build_stream(0)
    assert caught.value.problems == [
        "task 'a': no class 'x'; known: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
        "task 'b': 11 classes of 10; give fewer",
    ]


def test_one_fault_of_many_tasks_is_told_once() -> None:
    tasks = [{**BASE, "name": name, "classes": 11} for name in "abc"]
    with pytest.raises(InputError) as caught:
        scenario(tasks).build_stream(0)
    assert caught.value.problems == [
        "task 'a': 11 classes of 10; give fewer (and the same in 2 more places, next in task 'b')"
    ]


def test_a_shuffled_order_is_one_for_all_seeds_and_changes_no_task() -> None:
    tasks = [{**BASE, "name": name} for name in "abcdef"]
    shuffled = scenario(tasks, stream={"order": "shuffled", "order_seed": 2})
    one, two = (shuffled.build_stream(seed) for seed in (0, 1))
    assert [task.name for task in one] == [task.name for task in two]
    assert [task.name for task in one] != list("abcdef")
    listed = {task.name: task for task in scenario(tasks, stream={}).build_stream(0)}
    assert all(same(task, listed[task.name]) for task in one)


def test_variants_with_one_name_are_one_task() -> None:
    tasks = [
        {"name": "a", "source": "s", "variant": "v"},
        {"name": "b", "source": "s", "variant": "v"},
        {"name": "c", "source": "s", "variant": "w", "related_to": "v", "relatedness": 1.0},
        {"name": "d", "source": "s"},
    ]
    a, b, c, d = (task.tensors("test") for task in scenario(tasks).build_stream(0))
    means = [torch.stack([x[y == k].mean(0) for k in range(4)]) for x, y in (a, b, c, d)]
    assert torch.equal(means[0], means[1])
    assert (means[0] - means[2]).abs().mean() < 0.5 * (means[0] - means[3]).abs().mean()


@pytest.mark.data
def test_real_data(data_dir: Path) -> None:
    slot = {"any_of": [{"type": "torchvision", "dataset": "MNIST"}, {"type": "digits"}]}
    spec = scenario([BASE], sources={"d": slot}, stream={"shape": [1, 28, 28]})
    assert spec.resolve(data_dir).sources["d"].parameters == {"dataset": "MNIST"}
    (task,) = spec.build_stream(0, data_dir)
    assert task.shape == (1, 28, 28)
    assert 0.05 < float(task.tensors("train")[0].mean()) < 0.25


def test_derived_tasks_share_examples_unless_each_draws_its_own() -> None:
    again = {"name": "b", "from": "a"}
    whole, shared = scenario([{"name": "a", "source": "d"}, again]).build_stream(0)
    assert whole.tensors("train")[0].data_ptr() == shared.tensors("train")[0].data_ptr()
    drawn, other = scenario([BASE, again]).build_stream(0)
    assert not same(drawn, other)
    assert not torch.equal(drawn.tensors("train")[0], other.tensors("train")[0])
