"""A signature is a task's own; the shortlist finds the relatives, and is all of few."""

from __future__ import annotations

import copy

import pytest
import torch

from cl_moe.continual.evidence.signatures import Shortlist, signature
from cl_moe.streams.sources.glyphs import Glyphs
from cl_moe.streams.sources.synthetic import Synthetic

SOURCE = Glyphs(classes=60, size=10, train_per_class=40, test_per_class=1).load(
    seed=0, data_dir=None
)


def characters(task, again=0):
    """Return 12 examples of each of five characters; ``again`` draws others of the same."""
    own = torch.arange(task * 5, task * 5 + 5)
    rows = torch.cat([(SOURCE.train_y == k).nonzero().flatten()[again::3][:12] for k in own])
    return SOURCE.train_x[rows], SOURCE.train_y[rows] - task * 5


def noise(task):
    data = Synthetic(dim=100, image=True, train_per_class=12).variant(f"v{task}")
    data = data.load(seed=0, data_dir=None)
    return data.train_x, data.train_y


def distance(one, two):
    return sum(float((a - b).square().sum()) for a, b in zip(one, two, strict=True))


def test_a_signature_depends_on_the_task_alone():
    x, y = characters(0)
    before = signature(x, y)
    torch.rand(1)
    assert all(torch.equal(a, b) for a, b in zip(before, signature(x, y), strict=True))
    lengths = [len(part) for part in signature(*noise(1))]
    assert lengths == [len(part) for part in before]


def test_names_of_classes_do_not_matter_and_classes_do():
    x, y = characters(0)
    same, other = signature(x, (y + 2) % 5), signature(x, y[torch.randperm(len(y))])
    _, between, _ = signature(x, y)
    assert torch.allclose(same[1], between, atol=1e-6)
    assert not torch.allclose(other[1], between, atol=1e-3)


def test_the_last_part_survives_a_permutation_of_the_inputs():
    x, y = characters(0)
    order = torch.randperm(100, generator=torch.Generator().manual_seed(0))
    turned = signature(x.flatten(1)[:, order], y)
    own, foreign = signature(x, y), signature(*noise(0))
    assert torch.equal(turned[2][-9:], own[2][-9:])
    near, far = (float((part[2] - own[2]).square().sum()) for part in (turned, foreign))
    assert near < 0.1 * far


def test_one_example_a_class_and_constant_inputs_are_no_trouble():
    near = Shortlist(1)
    near.add(0, torch.zeros(2, 4), torch.arange(2))
    near.add(1, torch.ones(2, 4), torch.arange(2))
    near.add(2, torch.ones(2, 4), torch.arange(2))
    assert near.to(torch.ones(2, 4), torch.arange(2), [0, 1]) == [1]


def test_a_task_that_comes_back_is_found_first_and_its_kind_before_others():
    near = Shortlist(9)
    for task in range(10):
        near.add(task, *characters(task))
        near.add(100 + task, *noise(task))
    among = [*range(10), *range(100, 110)]
    for task in range(10):
        found = near.to(*characters(task, again=1), among)
        assert found[0] == task
        assert sum(other < 100 for other in found) >= 8


def test_all_of_few_are_on_the_list_in_their_order():
    near = Shortlist(3)
    for task in range(5):
        near.add(task, *characters(task))
    assert near.to(*characters(4), [2, 0, 1]) == [2, 0, 1]
    assert len(near.to(*characters(4), [0, 1, 2, 3])) == 3


def test_tasks_that_were_never_shown_come_last():
    near = Shortlist(2)
    for task in (0, 1):
        near.add(task, *characters(task))
    assert near.to(*characters(1), [7, 8, 0]) == [0, 7]


def test_it_grows_and_its_copy_goes_its_own_way():
    near = Shortlist(1)
    for task in range(130):
        near.add(task, *characters(task % 12))
    copied = copy.deepcopy(near)
    copied.add(130, *noise(0))
    assert copied.to(*noise(0), range(131)) == [130]
    assert near.to(*characters(129 % 12), range(129))[0] % 12 == 129 % 12
    assert near.to(*noise(0), [130]) == [130]
    assert near.to(*noise(0), [0, 130])[0] == 0, "it was never shown"


def test_what_it_remembers_can_be_given_to_another():
    near, other = Shortlist(3), Shortlist(3)
    for task in range(70):  # more than there is room for at first
        near.add(task, *characters(task % 12))
    state = near.state()
    other.add(500, *noise(3))
    other.restore(state)
    near.add(70, *noise(0))  # later changes do not reach it
    for again in (0, 1):
        shown = characters(2, again)
        assert other.to(*shown, range(70)) == near.to(*shown, range(70))
    assert other.to(*noise(0), [70, 71, 0, 1])[:2] == [0, 1]
    other.add(70, *noise(0))
    assert other.to(*noise(0), range(71)) == near.to(*noise(0), range(71))


def test_nothing_is_remembered_of_nothing():
    near = Shortlist(1)
    near.restore(Shortlist(1).state())
    assert near.to(*noise(0), [4, 5]) == [4]


def test_a_list_has_room_for_one():
    with pytest.raises(ValueError, match="shortlist: 0 must be 1 or more"):
        Shortlist(0)


def test_real_targets_have_a_signature_too():
    """It depends on what they have to do with the inputs, not on their scale."""
    x = torch.randn(200, 6, generator=torch.Generator().manual_seed(0))
    y = x[:, :1] + x[:, 1:2]
    parts = signature(x, y)
    assert [len(part) for part in parts] == [len(p) for p in signature(x, (y[:, 0] > 0).long())]
    for own, other in zip(parts, signature(x, 100 * y + 7), strict=True):
        assert torch.allclose(own, other, atol=1e-4)
    assert not torch.allclose(parts[1], signature(x, x[:, 2:3])[1], atol=1e-2)
