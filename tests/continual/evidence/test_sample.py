"""Rows that earlier paths are scored on."""

from __future__ import annotations

import pytest
import torch

from cl_moe.continual.candidates.trial import split_of
from cl_moe.continual.evidence.sample import SCORE_ROWS, sample_of
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.blocks import RAW
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.task import TaskGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork


def sampled(n):
    network = MoENetwork(Chain([MoELayer(MLPExpert([3]).stages()[0], TaskGate(1), (1,))]))
    x, y = torch.arange(n)[:, None].float(), torch.arange(n) % 3
    view = TaskView(2, "t", x, y, 3, 10, 8, lambda p: torch.optim.Adam(p))
    return view, sample_of(view, network, split_of(view).fit), split_of(view)


@pytest.mark.parametrize("n", [9, 2 * SCORE_ROWS])
def test_of_a_small_task_all_rows_are_taken_in_their_order(n):
    view, sample, _ = sampled(n)
    assert torch.equal(sample.reader[RAW], view.x)
    assert torch.equal(sample.y, view.y)
    assert sample.fitted is None


@pytest.mark.parametrize("n", [2 * SCORE_ROWS + 1, 2000])
def test_of_a_large_one_some_are_which_the_seed_decides_and_none_is_held_out(n):
    _, sample, split = sampled(n)
    rows = sample.reader[RAW].flatten().long()
    assert len(rows.unique()) == len(sample.y) == SCORE_ROWS
    assert torch.equal(rows % 3, sample.y)
    assert torch.equal(rows, sampled(n)[1].reader[RAW].flatten().long())
    assert torch.equal(rows, sample.fitted)
    assert not torch.isin(rows, split.held).any()
