"""A FreezableDict is a ModuleDict to torch; frozen parts do not move, and walks miss nothing."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from cl_moe.moe.freezing import (
    FreezableDict,
    count_parameters,
    kinds_of,
    modes_of,
    modules_of,
    names_of,
    restore_modes,
    set_mode,
    tensors_of,
    trainable_of,
)
from cl_moe.moe.offload import OffloadStore


class Still(nn.Module):
    """Stays in evaluation mode, whatever it is told."""

    def train(self, mode: bool = True) -> Still:
        return super().train(False)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.parts = FreezableDict(
            {name: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)) for name in "abc"}
        )
        self.again = self.first


@pytest.fixture
def net() -> Net:
    net = Net()
    net.parts.freeze("a")
    net.parts.freeze("c")
    return net


def ids(things):
    return sorted(map(id, things))


def test_walks_see_what_torch_sees(net):
    assert ids(modules_of(net)) == ids(net.modules())
    assert ids(tensors_of(net)) == ids([*net.parameters(), *net.buffers()])
    wanted = [p for p in net.parameters() if p.requires_grad]
    assert [id(p) for p in trainable_of(net)] == [id(p) for p in wanted]
    assert len(tensors_of(net, frozen=False)) == len(tensors_of(net.first)) + len(
        tensors_of(net.parts["b"])
    )


def test_parameters_are_counted_once_and_those_that_are_away_too(net):
    whole = sum(p.numel() for p in net.parameters())
    assert count_parameters(net) == whole
    net.parts["c"] = OffloadStore().offload(net.parts["c"])
    assert count_parameters(net) == whole
    net.parts.freeze("c")
    assert count_parameters(net) == whole
    del net.parts["a"]
    assert count_parameters(net) == whole - 10


def test_freezing_drops_gradients_and_unfreezing_undoes_it(net):
    net.parts["b"][0].weight.grad = torch.ones(2, 2)
    net.parts.freeze("b")
    assert not any(p.requires_grad for p in net.parts.parameters())
    assert net.parts["b"][0].weight.grad is None
    assert net.parts.trainable == {}
    net.parts.unfreeze("a")
    assert [id(p) for p in trainable_of(net.parts)] == [id(p) for p in net.parts["a"].parameters()]
    assert ids(modules_of(net)) == ids(net.modules())


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_part_may_be_replaced_or_removed(net, name):
    net.parts[name] = nn.Linear(1, 1)
    assert ids(modules_of(net)) == ids(net.modules())
    assert net.parts[name].weight in set(trainable_of(net))
    del net.parts[name]
    assert ids(modules_of(net)) == ids(net.modules())
    assert name not in net.parts.trainable


def test_freezing_twice_is_freezing_once(net):
    net.parts.freeze("a")
    assert ids(modules_of(net)) == ids(net.modules())


@pytest.mark.parametrize("set_all", [set_mode, lambda net, mode: net.train(mode)])
def test_modes_reach_all_but_frozen_parts_and_a_part_that_has_its_own_say(net, set_all):
    net.parts["b"].add_module("still", Still())
    set_all(net, False)
    assert not any(module.training for module in net.modules())
    noted = modes_of(net)
    set_all(net, True)
    off = {module for module in net.modules() if not module.training}
    assert off == {*net.parts["a"].modules(), *net.parts["c"].modules(), net.parts["b"].still}
    restore_modes(noted)
    assert not any(module.training for module in net.modules())


def test_buffers_of_frozen_parts_do_not_move(net):
    before = [tensor.clone() for tensor in net.parts["a"].buffers()]
    net.train()
    for name in "abc":
        net.parts[name](torch.rand(5, 2))
    assert all(map(torch.equal, before, net.parts["a"].buffers()))
    assert net.parts["b"][1].num_batches_tracked == 1


def test_what_its_author_switched_off_stays_off(net):
    net.parts["b"][0].bias.requires_grad_(False)
    wanted = [p.requires_grad for p in net.parts["b"].parameters()]
    net.parts.freeze("b")
    copied = net.parts.copy_of("b")
    net.parts.unfreeze("b")
    assert [p.requires_grad for p in net.parts["b"].parameters()] == wanted
    assert [p.requires_grad for p in copied.parameters()] == wanted
    assert copied.training
    assert copied[0].weight is not net.parts["b"][0].weight


def test_a_part_that_takes_the_place_of_a_frozen_one_is_frozen(net):
    net.parts.replace_frozen("a", nn.BatchNorm1d(2))
    assert not net.parts["a"].weight.requires_grad
    assert not net.train().parts["a"].training
    net.parts.unfreeze("a")
    assert net.parts["a"].weight.requires_grad
    assert net.parts["a"].training


def test_a_copy_has_lists_of_its_own(net):
    copied = copy.deepcopy(net)
    assert ids(modules_of(copied)) == ids(copied.modules())
    assert not set(ids(modules_of(copied))) & set(ids(modules_of(net)))
    copied.parts.unfreeze("a")
    assert "a" not in net.parts.trainable


def test_it_is_saved_and_loaded_like_a_module_dict(net):
    plain = nn.ModuleDict({name: copy.deepcopy(part) for name, part in net.parts.items()})
    assert list(plain.state_dict()) == list(net.parts.state_dict())
    net.parts.load_state_dict(plain.state_dict())


def test_kinds_are_counted_in_frozen_parts_too(net):
    assert kinds_of(net) == {Net: 1, FreezableDict: 1, nn.Linear: 4, nn.Sequential: 3} | {
        nn.BatchNorm1d: 3
    }
    net.parts["a"] = nn.ReLU()
    del net.parts["c"]
    assert kinds_of(net)[nn.BatchNorm1d] == 1
    assert kinds_of(net)[nn.ReLU] == 1


def test_names_are_those_of_torch_in_frozen_parts_too(net):
    wanted = {p: name for name, p in net.named_parameters()}
    assert names_of(net, [*wanted, nn.Parameter(torch.ones(1))]) == wanted
    one = net.parts["a"][1].bias
    assert names_of(net, [one]) == {one: "parts.a.1.bias"}


def test_the_tensors_of_a_frozen_part_are_listed_once_it_holds_nothing_but_parameters():
    parts = FreezableDict({"a": nn.Linear(2, 2), "norm": nn.BatchNorm1d(2)})
    assert parts.fixed("a") is None
    parts.freeze("a")
    parts.freeze("norm")
    assert parts.fixed("a")["weight"] is parts["a"].weight
    assert parts.fixed("norm") is None
    parts.replace_frozen("a", nn.Linear(2, 2))
    assert parts.fixed("a")["weight"] is parts["a"].weight
    parts.unfreeze("a")
    assert parts.fixed("a") is None
