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


def test_evidence_concentrates_as_examples_pile_up():
    gate = gate_of("evidence", k=3)
    few, many = gate.weigh([0.3, 0.4, 0.9], 4), gate.weigh([0.3, 0.4, 0.9], 10_000)
    assert few.max() < 0.6
    assert many.argmax() == 0
    assert many.max() > 0.99
    assert torch.isclose(few.sum(), torch.tensor(1.0))


def test_evidence_keeps_the_k_best_only():
    weights = gate_of("evidence", k=1).weigh([0.3, 0.2, 0.9], 9)
    assert weights.tolist() == [0.0, 1.0, 0.0]


def test_the_controls_look_at_no_evidence():
    uniform, random = (gate_of("evidence", k=2, weights=w) for w in ("uniform", "random"))
    for losses in ([0.3, 0.2, 0.9, 0.1], [9.0, 0.0, 0.0, 5.0]):
        assert uniform.weigh(losses, 100).tolist() == [0.25] * 4
        one, two = (random.weigh(losses, 100, torch.Generator().manual_seed(3)) for _ in range(2))
        assert torch.equal(one, two)
        assert sorted(one.tolist()) == [0.0, 0.0, 0.5, 0.5]
    drawn = {
        tuple(random.weigh([0.3, 0.2, 0.9], 9, torch.Generator().manual_seed(s)).tolist())
        for s in range(20)
    }
    assert len(drawn) == 3
    assert random.weigh([0.3], 9, torch.Generator()).tolist() == [1.0]
