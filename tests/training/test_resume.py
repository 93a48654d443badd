"""The state of a strategy: its optimizer by the names of parameters, and its plugins."""

from __future__ import annotations

import json

import pytest
import torch
from avalanche.core import SupervisedPlugin
from torch import nn

from cl_moe.errors import InputError
from cl_moe.state import State
from cl_moe.strategies.task_aware import TaskAwareMoE
from cl_moe.training.resume import (
    optimizer_state,
    restore_optimizer,
    restore_strategy,
    strategy_state,
)


def test_plain_values_and_tensors_of_a_parameter_are_restored():
    """As of optimizers whose steps are numbers; the shipped ones hold tensors alone."""
    model, again = nn.Linear(2, 1), nn.Linear(2, 1)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    optimizer.state[model.weight] = {"step": 3, "moment": torch.ones(1, 2)}
    state = optimizer_state(optimizer, model)
    other = torch.optim.SGD(again.parameters(), lr=0.1)
    other.state[again.bias] = {"step": 9}
    restore_optimizer(other, again, State(json.loads(json.dumps(state.plain)), state.tensors))
    assert other.param_groups[0]["lr"] == 0.5
    assert other.state.keys() == {again.weight}
    assert other.state[again.weight]["step"] == 3
    assert torch.equal(other.state[again.weight]["moment"], torch.ones(1, 2))


def test_an_optimizer_of_other_groups_or_another_model_is_refused():
    model, other = nn.Linear(2, 1), nn.ModuleDict({"a": nn.Linear(2, 1)})
    state = optimizer_state(torch.optim.SGD(model.parameters(), lr=0.1), model)
    two = torch.optim.SGD([{"params": [p]} for p in model.parameters()], lr=0.1)
    for optimizer, owner in ((two, model), (torch.optim.SGD(other.parameters(), lr=0.1), other)):
        with pytest.raises(InputError, match="its optimizer is not that of the model"):
            restore_optimizer(optimizer, owner, state)


class Kept(SupervisedPlugin):
    def state(self):
        return State()

    def restore(self, state):
        """It has none."""


@pytest.mark.parametrize("more", [True, False])
def test_the_state_of_other_plugins_is_refused(more):
    with_it, without = TaskAwareMoE(shape=(4,), plugins=[Kept()]), TaskAwareMoE(shape=(4,))
    saved, restored = (with_it, without) if more else (without, with_it)
    with pytest.raises(InputError, match="its plugins are not those of the strategy"):
        restore_strategy(restored, strategy_state(saved))
