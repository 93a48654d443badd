"""A part at rest is skipped until a gradient wakes it, whatever the gradient comes from."""

from __future__ import annotations

import copy
import gc
import weakref

import pytest
import torch
from torch import nn

from cl_moe.moe.freezing import count_parameters, kinds_of, modules_of, tensors_of, trainable_of
from cl_moe.moe.resting import RestingDict


@pytest.fixture
def parts() -> RestingDict:
    return RestingDict({name: nn.Linear(2, 3) for name in "abc"})


@pytest.fixture
def woken(parts) -> list[nn.Parameter]:
    found: list[nn.Parameter] = []
    parts.rest(found.extend)
    return found


def test_traversals_skip_parts_at_rest_which_stay_trainable(parts, woken):
    assert trainable_of(parts) == []
    assert tensors_of(parts, frozen=False) == []
    assert all(p.requires_grad for p in parts.parameters())
    assert sorted(map(id, modules_of(parts))) == sorted(map(id, parts.modules()))
    assert kinds_of(parts) == {RestingDict: 1, nn.Linear: 3}
    assert count_parameters(parts) == 3 * 9
    assert set(parts.at_rest) == set(parts.parameters())


@pytest.mark.parametrize("name", ["weight", "bias"])
def test_the_first_gradient_of_a_parameter_wakes_its_part_once(parts, woken, name):
    for _ in range(2):
        getattr(parts["b"], name).square().sum().backward()
    assert [id(p) for p in woken] == [id(p) for p in parts["b"].parameters()]
    assert [id(p) for p in trainable_of(parts)] == [id(p) for p in parts["b"].parameters()]
    assert set(parts.at_rest.values()) == {"a", "c"}
    parts["a"](torch.rand(4, 2)).sum().backward()
    assert list(parts.trainable) == ["b", "a"]


def test_a_part_that_is_only_run_rests_on(parts, woken):
    with torch.no_grad():
        parts["a"](torch.rand(4, 2))
    parts["b"](torch.rand(4, 2)).sum()
    assert woken == []


def test_resting_drops_gradients_and_may_begin_again(parts):
    first: list[nn.Parameter] = []
    second: list[nn.Parameter] = []
    parts.rest(first.extend)
    parts["a"].weight.sum().backward()
    parts.rest(second.extend)
    assert parts["a"].weight.grad is None
    assert not parts.trainable
    parts["a"].weight.sum().backward()
    assert len(first) == len(second) == 2


def test_waking_by_name_is_done_once(parts, woken):
    parts.wake("a")
    parts.wake("a")
    parts["a"].weight.sum().backward()
    assert len(woken) == 2


def test_other_layers_and_switched_off_parameters_stay_awake():
    parts = RestingDict(
        {"drop": nn.Sequential(nn.Linear(2, 2), nn.Dropout()), "off": nn.Linear(2, 2)}
    )
    parts["off"].bias.requires_grad_(False)
    parts.rest(lambda _: None)
    assert list(parts.trainable) == ["drop", "off"]
    assert not parts.train(False)["drop"].training


def test_a_part_that_takes_the_place_of_one_at_rest_is_awake(parts, woken):
    old = parts["a"]
    parts["a"] = nn.Linear(2, 4)
    assert not set(old.parameters()) & set(parts.at_rest)
    old.weight.sum().backward()
    assert woken == []
    assert trainable_of(parts) == list(parts["a"].parameters())
    del parts["b"]
    assert set(parts.at_rest) == set(parts["c"].parameters())
    assert count_parameters(parts) == 12 + 9


def test_a_copy_rests_and_wakes_by_itself(parts, woken):
    copied = copy.deepcopy(parts)
    assert set(copied.at_rest) == set(copied.parameters())
    copied["a"].weight.sum().backward()
    assert woken == []
    assert list(copied.trainable) == ["a"]
    assert not parts.trainable
    found: list[nn.Parameter] = []
    copied.rest(found.extend)
    copied["a"].bias.sum().backward()
    assert len(found) == 2


def test_a_part_does_not_keep_the_others_alive():
    parts = RestingDict({name: nn.Linear(2, 3) for name in "ab"})
    parts.rest(lambda _: None)
    kept, other = parts["a"], weakref.ref(parts["b"])
    del parts
    gc.collect()
    assert other() is None
    kept.weight.sum().backward()
    assert kept.weight.grad is not None
