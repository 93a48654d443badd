"""Batch normalisation needs two rows, in frozen parts, too; other normalisation does not."""

from __future__ import annotations

import pytest
from torch import nn

from cl_moe.moe.freezing import FreezableDict
from cl_moe.moe.normalisation import needs_two


@pytest.mark.parametrize("norm", [nn.BatchNorm1d, nn.BatchNorm2d, nn.SyncBatchNorm])
def test_batch_normalisation_needs_two_rows(norm):
    network = nn.Sequential(nn.Linear(2, 2), nn.Sequential(norm(2)))
    assert needs_two(network)
    assert needs_two(nn.Linear(2, 2), network)
    assert needs_two(network.eval())


@pytest.mark.parametrize("norm", [nn.LayerNorm(2), nn.GroupNorm(1, 2), nn.Dropout()])
def test_other_normalisation_does_not(norm):
    assert not needs_two(norm)


def test_a_frozen_part_counts():
    parts = FreezableDict({"a": nn.BatchNorm1d(2), "b": nn.Linear(2, 2)})
    parts.freeze("a")
    assert needs_two(parts)
    del parts["a"]
    assert not needs_two(parts)
