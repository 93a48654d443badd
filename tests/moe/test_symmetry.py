"""A symmetry moves pixels and inverts brightness, and loses nothing of an image."""

from __future__ import annotations

from itertools import product

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cl_moe.moe.symmetry import Symmetry

SYMMETRIES = [Symmetry(t, f, i) for t, f, i in product(range(4), (False, True), (None, 1.0))]


@pytest.fixture
def images():
    return torch.rand(3, 2, 5, 5, generator=torch.Generator().manual_seed(0))


def test_there_are_sixteen_and_no_two_do_the_same(images):
    seen = [symmetry(images) for symmetry in SYMMETRIES]
    assert len(seen) == 16
    for i, one in enumerate(seen):
        assert not any(torch.equal(one, other) for other in seen[:i])


@given(st.sampled_from(SYMMETRIES))
def test_each_is_undone_by_another(symmetry):
    images = torch.rand(2, 1, 4, 4, generator=torch.Generator().manual_seed(1))
    assert any(torch.allclose(back(symmetry(images)), images) for back in SYMMETRIES)


def test_the_flip_comes_before_the_turn(images):
    assert torch.equal(Symmetry(1, flipped=True)(images), images.flip(3).rot90(1, (2, 3)))


@pytest.mark.parametrize(
    ("symmetry", "words"),
    [
        (Symmetry(), "as they are"),
        (Symmetry(3), "turned by 270 degrees"),
        (Symmetry(0, True, 0.0), "inverted, flipped"),  # darkest and brightest may add up to 0
    ],
)
def test_it_says_what_it_does(symmetry, words):
    assert str(symmetry) == words
