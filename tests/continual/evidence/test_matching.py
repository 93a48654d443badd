from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cl_moe.continual.evidence.matching import (
    calibrated,
    is_one_shot,
    match_classes,
    matching_evidence,
    spread,
)


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


@given(st.lists(st.integers(0, 4), min_size=1, max_size=60), st.integers(1, 6))
def test_every_part_gets_its_share_of_every_class(labels, parts):
    y = torch.tensor(labels)
    part = spread(y, parts)
    assert ((part >= 0) & (part < parts)).all()
    for label in set(labels):
        counts = part[y == label].bincount(minlength=parts)
        assert counts.max() - counts.min() <= 1


def test_with_one_example_a_class_all_are_matched_on():
    answers = (4 * torch.eye(6)[[3, 1, 0, 5, 2, 4]]).log_softmax(1)
    _, loss = matching_evidence(answers, torch.arange(6), 6)
    assert loss < 0.1
    chance = torch.randn(6, 6, generator=torch.Generator().manual_seed(0)).log_softmax(1)
    price = math.lgamma(7) / 6  # a nat and more for each of the rows
    assert matching_evidence(chance, torch.arange(6), 6)[1] + price > math.log(6)


def test_evidence_of_a_match_comes_from_rows_it_was_not_matched_on():
    """Among many classes some always match the labels of a few rows by chance."""
    y, honest, fitted = torch.arange(12) % 4, [], []
    for seed in range(20):
        noise = torch.randn(12, 30, generator=torch.Generator().manual_seed(seed)).log_softmax(1)
        honest.append(matching_evidence(noise, y, 4)[1])
        matched = noise[:, match_classes(noise, y, 4)]
        fitted.append(calibrated(matched, y)[1].mean().item())
    assert sum(honest) / 20 > math.log(4) - 0.05
    assert sum(fitted) / 20 < math.log(4) - 0.4
    clear = 4 * torch.nn.functional.one_hot(5 + y, 30) + noise
    assert matching_evidence(clear.log_softmax(1), y, 4)[1] < 0.2


@pytest.mark.parametrize("factor", [0.25, 1.0, 4.0])
def test_the_temperature_undoes_what_logits_are_multiplied_by(factor):
    logits = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 0.0]])
    y = torch.tensor([0, 1, 0, 1])
    temperature, losses = calibrated(factor * logits, y)
    assert temperature * factor == calibrated(logits, y)[0]
    assert torch.allclose(losses, calibrated(logits, y)[1])


def test_real_numbers_have_no_classes_to_be_short_of():
    assert not is_one_shot(torch.tensor([[0.5], [1.5]]))
