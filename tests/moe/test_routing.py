from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from cl_moe.moe.routing import balance_loss, top_k


@given(st.integers(1, 6), st.integers(1, 8), st.integers(1, 8), st.integers(0, 99))
def test_top_k_chooses_the_largest_logits_with_weights_up_to_one(rows, experts, k, seed):
    logits = torch.randn(rows, experts, generator=torch.Generator().manual_seed(seed))
    routing = top_k(logits, k)
    k = min(k, experts)
    assert routing.chosen.shape == routing.weights.shape == (rows, k)
    assert torch.equal(routing.chosen.sort(1).values, logits.topk(k).indices.sort(1).values)
    assert (routing.weights.sum(1) <= 1 + 1e-6).all()
    if k > 1:
        assert torch.allclose(routing.weights.sum(1), torch.ones(rows))


def test_a_single_expert_of_several_still_teaches_the_gate():
    logits = torch.randn(4, 3, requires_grad=True)
    top_k(logits, k=1).weights.sum().backward()
    assert logits.grad.abs().sum() > 0


def test_balance_loss_is_least_when_rows_are_spread_evenly():
    even = torch.eye(4).repeat(2, 1) * 9
    skewed = torch.eye(4)[:1].repeat(8, 1) * 9
    assert balance_loss(even) < balance_loss(skewed)
