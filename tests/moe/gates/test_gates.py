"""What every gate must satisfy, found by name in the catalogue."""

from __future__ import annotations

import pytest
import torch

from cl_moe import catalog

EXPERTS = ["e0", "e1", "e2"]


def gate_of(name, **options):
    gate = catalog.resolve("gate", name)(in_features=4, **options)
    g = torch.Generator().manual_seed(0)
    for expert in EXPERTS:
        gate.add_expert(expert, g)
    gate.add_task(0, EXPERTS, g)
    gate.add_task(1, EXPERTS, g)
    return gate


@pytest.mark.parametrize("name", catalog.names("gate"))
class TestEveryGate:
    def test_routes_each_row_or_all_alike(self, name):
        routing = gate_of(name, k=2)(torch.randn(7, 4), 0, EXPERTS)
        assert routing.weights.shape in {(7, 2), (1, 2)}
        assert routing.chosen.max() < len(EXPERTS)

    def test_learns_from_the_weights_of_a_single_choice(self, name):
        gate = gate_of(name, k=1)
        gate(torch.randn(7, 4), 0, EXPERTS).weights.sum().backward()
        assert any(p.grad is not None and p.grad.abs().sum() > 0 for p in gate.parameters())

    def test_does_not_move_the_other_tasks_own_parameters(self, name):
        gate = gate_of(name)
        gate(torch.randn(7, 4), 0, EXPERTS).weights.sum().backward()
        assert all(p.grad is None for p in gate.task_parameters(1))

    def test_gives_auxiliary_losses_in_training_alone(self, name):
        gate = gate_of(name, balance=0.1, z=0.1)
        assert "z" in gate(torch.randn(7, 4), 0, EXPERTS).losses
        assert not gate.eval()(torch.randn(7, 4), 0, EXPERTS).losses

    def test_refuses_nonsense(self, name):
        with pytest.raises(ValueError, match="k: 0"):
            gate_of(name, k=0)


def test_the_token_gate_alone_does_not_know_tasks():
    x = torch.randn(7, 4)
    same = {
        name
        for name in catalog.names("gate")
        if torch.equal(
            gate_of(name, k=3).logits(x, 0, EXPERTS), gate_of(name, k=3).logits(x, 1, EXPERTS)
        )
    }
    assert same == {"token", "masked"}
