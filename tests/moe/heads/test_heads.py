"""What each head is; what all have in common is in tests/testing."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from cl_moe.moe.blocks import OWN
from cl_moe.moe.heads.cosine import CosineHead
from cl_moe.moe.heads.linear import LinearHead
from cl_moe.moe.heads.shared import SharedHead

X = torch.randn(7, 4, generator=torch.Generator().manual_seed(0))


def test_a_linear_head_begins_where_torchs_linear_map_begins():
    """Bit for bit, and it draws as many random numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(5)
        plain = nn.Linear(4, 3)
        after = torch.random.get_rng_state()
        torch.manual_seed(5)
        head = LinearHead(4, 3)
        assert torch.equal(after, torch.random.get_rng_state())
    assert torch.equal(head.weight, plain.weight)
    assert torch.equal(head.bias, plain.bias)
    assert torch.equal(head({OWN: X}), plain(X))
    assert head.state_dict().keys() == plain.state_dict().keys()
    assert type(head.on_features()) is nn.Linear


def test_a_head_of_given_parameters_copies_them_and_draws_nothing():
    weight, bias, before = torch.eye(3), torch.ones(3), torch.random.get_rng_state()
    head = LinearHead.of(weight, bias)
    weight.zero_()
    assert torch.equal(head.weight, torch.eye(3))
    assert torch.equal(head.select([1, 2]).weight, torch.eye(3)[1:])
    assert torch.equal(before, torch.random.get_rng_state())


def test_cosines_are_those_of_torch_times_the_scale():
    head = CosineHead(4, 3)
    expected = 10 * torch.cosine_similarity(X[:, None], head.weight[None], dim=2)
    torch.testing.assert_close(head({OWN: X}), expected)
    assert not head.fits


def test_a_later_task_gets_the_shared_head_frozen():
    head = SharedHead(4, 3)
    later = head.for_later_task(3)
    assert type(later) is SharedHead
    assert torch.equal(later({OWN: X}), head({OWN: X}))
    assert not any(p.requires_grad for p in later.parameters())
    assert all(p.requires_grad for p in head.parameters())
    assert not LinearHead(4, 3).serves_all
    with pytest.raises(ValueError, match="3 outputs, and the new task 2; give head = 'linear'"):
        head.for_later_task(2)
