"""A shelf is a ModuleDict to torch; its walks see what torch's see, and closed parts are still."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from cl_moe.moe.freezing import (
    Shelf,
    count_parameters,
    modes_of,
    modules_of,
    restore_modes,
    set_mode,
    tensors_of,
    trainable_of,
)
from cl_moe.moe.offload import Warehouse


class Still(nn.Module):
    """Stays in evaluation mode, whatever it is told."""

    def train(self, mode: bool = True) -> Still:
        return super().train(False)


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(2, 2)
        self.shelf = Shelf(
            {name: nn.Sequential(nn.Linear(2, 2), nn.BatchNorm1d(2)) for name in "abc"}
        )
        self.again = self.first


@pytest.fixture
def net() -> Net:
    net = Net()
    net.shelf.close("a")
    net.shelf.close("c")
    return net


def ids(things):
    return sorted(map(id, things))


def test_walks_see_what_torch_sees(net):
    assert ids(modules_of(net)) == ids(net.modules())
    assert ids(tensors_of(net)) == ids([*net.parameters(), *net.buffers()])
    wanted = [p for p in net.parameters() if p.requires_grad]
    assert [id(p) for p in trainable_of(net)] == [id(p) for p in wanted]
    assert len(tensors_of(net, closed=False)) == len(tensors_of(net.first)) + len(
        tensors_of(net.shelf["b"])
    )


def test_parameters_are_counted_once_and_those_that_are_away_too(net):
    whole = sum(p.numel() for p in net.parameters())
    assert count_parameters(net) == whole
    net.shelf["c"] = Warehouse().put(net.shelf["c"])
    assert count_parameters(net) == whole
    net.shelf.close("c")
    assert count_parameters(net) == whole
    del net.shelf["a"]
    assert count_parameters(net) == whole - 10


def test_closing_freezes_and_drops_gradients_and_opening_undoes_it(net):
    net.shelf["b"][0].weight.grad = torch.ones(2, 2)
    net.shelf.close("b")
    assert not any(p.requires_grad for p in net.shelf.parameters())
    assert net.shelf["b"][0].weight.grad is None
    assert net.shelf.open == {}
    net.shelf.reopen("a")
    assert [id(p) for p in trainable_of(net.shelf)] == [id(p) for p in net.shelf["a"].parameters()]
    assert ids(modules_of(net)) == ids(net.modules())


@pytest.mark.parametrize("name", ["a", "b"])
def test_a_part_may_be_replaced_or_removed(net, name):
    net.shelf[name] = nn.Linear(1, 1)
    assert ids(modules_of(net)) == ids(net.modules())
    assert net.shelf[name].weight in set(trainable_of(net))
    del net.shelf[name]
    assert ids(modules_of(net)) == ids(net.modules())
    assert name not in net.shelf.open


def test_closing_twice_is_closing_once(net):
    net.shelf.close("a")
    assert ids(modules_of(net)) == ids(net.modules())


def test_modes_reach_closed_parts_and_a_part_that_has_its_own_say(net):
    net.shelf["b"].add_module("still", Still())
    net.train()
    set_mode(net, False)
    assert not any(module.training for module in net.modules())
    noted = modes_of(net)
    set_mode(net, True)
    off = [module for module in net.modules() if not module.training]
    assert [type(module) for module in off] == [Still]
    restore_modes(noted)
    assert not any(module.training for module in net.modules())


def test_a_copy_has_lists_of_its_own(net):
    copied = copy.deepcopy(net)
    assert ids(modules_of(copied)) == ids(copied.modules())
    assert not set(ids(modules_of(copied))) & set(ids(modules_of(net)))
    copied.shelf.reopen("a")
    assert "a" not in net.shelf.open


def test_it_is_saved_and_loaded_like_a_module_dict(net):
    plain = nn.ModuleDict({name: copy.deepcopy(part) for name, part in net.shelf.items()})
    assert list(plain.state_dict()) == list(net.shelf.state_dict())
    net.shelf.load_state_dict(plain.state_dict())
