"""The penalty of MAS where Avalanche's own fails."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from avalanche.training.utils import ParamData
from torch import nn

from cl_moe.strategies.baselines.mas import PairedMAS


@pytest.mark.parametrize("loss", [0.0, 0.5])
def test_a_loss_of_exactly_0_gets_the_penalty_too(loss):
    """strength * importance * (weight - what it was)^2 = 3 * 2 * 0.5^2, whatever the loss."""
    model = nn.Linear(1, 1, bias=False)
    nn.init.constant_(model.weight, 1.5)
    plugin = PairedMAS(lambda_reg=3.0, alpha=0.5)
    plugin.importance = {"weight": ParamData("weight", init_tensor=torch.full((1, 1), 2.0))}
    plugin.params = {"weight": ParamData("weight", init_tensor=torch.ones(1, 1))}
    clock = SimpleNamespace(train_exp_counter=1)
    strategy = SimpleNamespace(model=model, loss=torch.tensor(loss), clock=clock)
    plugin.before_backward(strategy)
    assert strategy.loss.item() == pytest.approx(loss + 1.5)
    strategy.loss.backward()
    assert model.weight.grad.item() == pytest.approx(6.0)
