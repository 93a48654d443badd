from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from cl_moe.moe.matching import match_classes


@given(st.permutations(range(5)), st.integers(0, 99))
def test_permuted_labels_are_found_again(order, seed):
    g = torch.Generator().manual_seed(seed)
    old = torch.arange(50) % 5
    logits = 3 * torch.nn.functional.one_hot(old, 5) + torch.rand(50, 5, generator=g)
    new = torch.tensor(order)[old]
    matched = match_classes(logits.log_softmax(1), new, 5)
    assert [order[c] for c in matched] == list(range(5))


def test_the_match_is_one_to_one_even_if_a_class_has_no_examples():
    matched = match_classes(torch.zeros(4, 6), torch.tensor([0, 0, 2, 2]), 4)
    assert len(set(matched)) == 4
