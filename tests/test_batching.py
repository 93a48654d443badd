"""Rows in batches: each once, and none alone where two are needed."""

from __future__ import annotations

import pytest
import torch

from cl_moe.batching import batches, n_batches


@pytest.mark.parametrize("size", [1, 2, 3, 32])
@pytest.mark.parametrize("n", [1, 2, 3, 32, 33, 34, 64, 65])
def test_every_row_is_in_one_batch(n, size):
    order = torch.randperm(n)
    plain, paired = batches(order, size), batches(order, size, pairs=True)
    assert [part.tolist() for part in plain] == [part.tolist() for part in order.split(size)]
    assert torch.cat(paired).tolist() == order.tolist()
    assert len(plain) == n_batches(n, size)
    assert len(paired) == n_batches(n, size, pairs=True)
    if n > 1 and size > 1:
        assert min(map(len, paired)) >= 2
    if n % size != 1:
        assert [part.tolist() for part in paired] == [part.tolist() for part in plain]
