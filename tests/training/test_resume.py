"""The state of an optimizer, by the names of a model's parameters."""

from __future__ import annotations

import json

import torch
from torch import nn

from cl_moe.state import State
from cl_moe.training.resume import optimizer_state, restore_optimizer


def test_plain_values_and_tensors_of_every_parameter_are_restored():
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
