"""A pool of closed-form answers is one linear map of what it reads."""

from __future__ import annotations

import pytest
import torch

from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.heads.ensemble import EnsembleHead

VALUES = {
    RAW: torch.randn(5, 4, generator=torch.Generator().manual_seed(1)),
    Block(0): torch.randn(5, 3, generator=torch.Generator().manual_seed(2)),
}


@pytest.fixture
def head():
    draw = torch.Generator().manual_seed(0)
    weights = {b: torch.randn(4, v.shape[1], generator=draw) for b, v in VALUES.items()}
    return EnsembleHead(weights, torch.randn(4, generator=draw), {-1: 0.5, 0: 0.5})


def test_it_is_the_sum_over_blocks(head):
    expected = head.bias + sum(
        VALUES[block] @ weight.T for block, weight in zip(head.blocks, head.weights, strict=True)
    )
    assert torch.allclose(head(VALUES), expected, atol=1e-6)
    assert head.n_outputs == 4


def test_it_says_which_paths_it_reads(head):
    assert not head.reads_own_path
    assert head.sources == head.shares == {-1: 0.5, 0: 0.5}
    assert list(head.blocks) == [RAW, Block(0)]


def test_taking_over_an_average_reorders_its_classes(head):
    taken = head.select([2, 0])
    assert torch.allclose(taken(VALUES), head(VALUES)[:, [2, 0]], atol=1e-5)
    assert taken.shares == head.shares
    assert taken.blocks == head.blocks
    with torch.no_grad():
        taken.weights[0].zero_()
    assert head.weights[0].abs().sum() > 0


def test_further_outputs_begin_at_the_mean_and_leave_the_others_as_they_are(head):
    wide = head.widened(6)
    assert wide.n_outputs == 6
    found, old = wide(VALUES), head(VALUES)
    torch.testing.assert_close(found[:, :4], old, rtol=0, atol=1e-5)
    for new in (4, 5):
        torch.testing.assert_close(found[:, new], old.mean(1), rtol=0, atol=1e-5)
    assert (wide.shares, wide.blocks) == (head.shares, head.blocks)
    assert head.n_outputs == 4
