"""Synaptic intelligence gathers what it should, on the CPU too."""

from __future__ import annotations

from types import SimpleNamespace

import torch
from torch import nn

from cl_moe.strategies.baselines.si import SynapticIntelligence


def strategy_of(weight: torch.Tensor) -> SimpleNamespace:
    network = nn.Module()
    network.weight = nn.Parameter(weight)
    return SimpleNamespace(
        model=SimpleNamespace(network=network), loss=torch.zeros(()), weight=network.weight
    )


def learn(plugin, strategy, target: torch.Tensor, steps: int, rate: float = 0.01) -> None:
    """Descend on sum c (w - target)^2 / 2 with curvatures c = (4, 1), by plain gradient steps."""
    curvature = torch.tensor([4.0, 1.0])
    plugin.before_training_exp(strategy)
    for _ in range(steps):
        strategy.weight.grad = None
        strategy.loss = 0.5 * (curvature * (strategy.weight - target).square()).sum()
        plugin.before_backward(strategy)
        strategy.loss.backward()
        plugin.before_update(strategy)
        with torch.no_grad():
            strategy.weight -= rate * strategy.weight.grad
        plugin.after_update(strategy)
    plugin.after_training_exp(strategy)


def test_saved_loss_is_the_fall_of_the_loss_along_the_way():
    """With small steps, the importance of a weight is (its part of the fall) / (its way)^2."""
    plugin, strategy = SynapticIntelligence(1.0, damping=1e-12), strategy_of(torch.zeros(2))
    learn(plugin, strategy, torch.tensor([1.0, 1.0]), steps=1000, rate=0.001)
    way = strategy.weight.detach()
    fall = 0.5 * torch.tensor([4.0, 1.0]) * (1 - (1 - way).square())
    torch.testing.assert_close(plugin.importance["weight"], fall / way**2, rtol=0.01, atol=0.0)


def test_importances_hold_the_weights_and_the_penalty_is_no_gain():
    plugin, strategy = SynapticIntelligence(100.0, damping=0.1), strategy_of(torch.zeros(2))
    learn(plugin, strategy, torch.tensor([1.0, 1.0]), steps=500)
    anchor = strategy.weight.detach().clone()
    first = plugin.importance["weight"].clone()
    learn(plugin, strategy, torch.tensor([-1.0, -1.0]), steps=500, rate=0.001)
    assert (strategy.weight - anchor).abs().max() < 0.2
    assert (plugin.importance["weight"] >= first).all()


def test_restored_it_goes_on_as_the_one_that_was_saved():
    plugin, strategy = SynapticIntelligence(1.0, damping=0.1), strategy_of(torch.zeros(2))
    learn(plugin, strategy, torch.tensor([1.0, 1.0]), steps=50)
    again, other = (
        SynapticIntelligence(1.0, damping=0.1),
        strategy_of(strategy.weight.detach().clone()),
    )
    again.restore(plugin.state())
    for one, way in ((plugin, strategy), (again, other)):
        learn(one, way, torch.tensor([-1.0, 0.5]), steps=50)
    assert torch.equal(strategy.weight, other.weight)
    assert torch.equal(plugin.importance["weight"], again.importance["weight"])
