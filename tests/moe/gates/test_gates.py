"""What tells gates from one another; what all have in common is in tests/testing."""

from __future__ import annotations

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
