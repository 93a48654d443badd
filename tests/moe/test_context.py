"""The task of a pass reaches every slot, and nothing is left of it afterwards."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.context import RoutingContext
from cl_moe.moe.experts.base import cut
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.token import TokenGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.routing import Routing


def routing(**losses):
    given = {name: torch.tensor(value) for name, value in losses.items()}
    return Routing(torch.ones(1, 1), torch.zeros(1, 1, dtype=torch.long), given)


def test_a_pass_within_a_pass_leaves_the_outer_one_as_it_was():
    context, stand_in = RoutingContext(), nn.Identity()
    with context.of(3, {"layer0": stand_in}) as outer:
        context.routings["layer0"] = first = routing()
        with context.of(None) as inner:
            assert inner is outer is context
            assert (context.task, context.experts, context.routings) == (None, {}, {})
            context.routings["layer0"] = routing()
        assert context.task == 3
        assert context.experts == {"layer0": stand_in}
        assert context.routings == {"layer0": first}
    assert (context.task, context.experts, context.routings) == (None, {}, {})


def test_a_pass_that_fails_leaves_nothing_behind():
    context = RoutingContext()

    def fail():
        with context.of(1):
            raise ArithmeticError

    with pytest.raises(ArithmeticError):
        fail()
    assert context.task is None


def test_losses_are_summed_over_slots():
    context = RoutingContext()
    with context.of(0):
        assert context.losses() == {}
        context.routings["low"] = routing(balance=0.5, z=1.0)
        context.routings["high"] = routing(balance=0.25)
        assert {name: float(loss) for name, loss in context.losses().items()} == {
            "balance": 0.75,
            "z": 1.0,
        }


@pytest.fixture
def chain():
    shape, layers = (4,), []
    for factory in cut(MLPExpert([6, 5]).stages(), 2):
        layers.append(MoELayer(factory, TokenGate(*shape, balance=0.1), shape, experts=2))
        shape = layers[-1].out_shape
    return Chain(layers)


def test_all_slots_of_a_network_note_what_they_chose(chain):
    x = torch.rand(9, 4)
    with torch.no_grad(), chain.context.of(0) as context:
        chain(x)
        assert list(context.routings) == ["layer0", "layer1"]
        expected = sum(float(one.losses["balance"]) for one in context.routings.values())
        assert float(context.losses()["balance"]) == pytest.approx(expected)
        first = context.routings
        with context.of(0):
            chain(x)
        assert context.routings is first


def test_a_slot_without_a_task_says_so(chain):
    with pytest.raises(AssertionError, match="slot 'layer0': no task is set"):
        chain(torch.rand(2, 4))


def test_a_candidate_stands_in_slot_by_slot(chain):
    x, expert = torch.rand(3, 4), nn.Linear(6, 5)
    with chain.context.of(0, {"layer1": expert}) as context:
        found = chain(x)
        assert list(context.routings) == ["layer0"]
    with chain.context.of(0):
        assert torch.equal(found, expert(chain.slots["layer0"](x)))
