"""The symmetry that undoes a shift is found by how images look, and none where they look familiar."""

from __future__ import annotations

from itertools import product

import pytest
import torch

from cl_moe.continual.evidence.alignment import Alignment
from cl_moe.moe.symmetry import Symmetry

SHIFTS = [
    Symmetry(t, f, i)
    for t, f, i in product(range(4), (False, True), (None, 1.0))
    if (t, f, i) != Symmetry()
]


def pictures(n, seed=0, side=12):
    """Dim noise, with a bright bar above and a shorter one at its left: no symmetry at all."""
    images = 0.1 * torch.rand(n, 1, side, side, generator=torch.Generator().manual_seed(seed))
    images[:, :, : side // 4] += 0.7
    images[:, :, : side // 2, : side // 4] += 0.2
    return images


@pytest.fixture
def alignment():
    found = Alignment(most=3)
    found.add(4, pictures(200))
    return found


@pytest.mark.parametrize("shift", SHIFTS, ids=str)
def test_the_symmetry_that_undoes_a_shift_is_the_first(alignment, shift):
    images = pictures(30, seed=1)
    task, symmetry = alignment.symmetries(shift(images), [4])[0]
    assert task == 4
    assert torch.allclose(symmetry(shift(images)), images, atol=1e-6)


def test_what_looks_familiar_needs_no_symmetry(alignment):
    assert alignment.symmetries(pictures(30, seed=1), [4]) == []


def test_images_that_look_alike_from_all_sides_have_no_symmetry(alignment):
    draw = torch.Generator().manual_seed(5)
    alignment.add(9, torch.rand(400, 1, 12, 12, generator=draw))
    assert alignment.symmetries(torch.rand(400, 1, 12, 12, generator=draw), [9]) == []


def test_a_symmetry_is_found_for_the_path_that_it_suits(alignment):
    other = 1 - 0.1 * torch.rand(200, 1, 12, 12, generator=torch.Generator().manual_seed(3))
    alignment.add(5, other)
    assert alignment.symmetries(1 - pictures(30, seed=1), [5, 4])[0][0] == 4


@pytest.mark.parametrize("shift", [None, *SHIFTS], ids=str)
def test_the_nearest_is_found_at_first_sight_or_through_a_symmetry(alignment, shift):
    images = pictures(30, seed=1)
    shown = images if shift is None else shift(images)
    task, symmetry = alignment.nearest(shown, [4])
    assert task == 4
    assert (symmetry is None) == (shift is None)
    assert torch.allclose(shown if symmetry is None else symmetry(shown), images, atol=1e-6)


@pytest.mark.parametrize(("more", "symmetry"), [(0.002, None), (0.05, Symmetry(flipped=True))])
def test_a_symmetry_has_to_show_more_than_a_trifle(more, symmetry):
    images = 0.1 * torch.rand(200, 1, 12, 12, generator=torch.Generator().manual_seed(0))
    images = (images + images.flip(3)) / 2
    images[:, :, :3] += 0.7
    images[:, :, :, 0] += more
    alignment = Alignment(most=3)
    alignment.add(4, images)
    assert alignment.nearest(images.flip(3), [4]) == (4, symmetry)


def test_of_several_tasks_the_nearest_is_named(alignment):
    other = 0.1 + 0.1 * torch.rand(200, 1, 12, 12, generator=torch.Generator().manual_seed(3))
    alignment.add(5, other)
    assert alignment.nearest(pictures(30, seed=1), [5, 4]) == (4, None)
    assert alignment.nearest(other[:30], [5, 4]) == (5, None)
    assert alignment.nearest(other[:30], [7]) is None


def test_what_looks_like_nothing_known_has_no_nearest(alignment):
    pixels = torch.randperm(144, generator=torch.Generator().manual_seed(2))
    shuffled = pictures(30, seed=1).flatten(1)[:, pixels].view(-1, 1, 12, 12)
    assert alignment.nearest(shuffled, [4]) is None
    noise = torch.rand(30, 1, 12, 12, generator=torch.Generator().manual_seed(6))
    assert alignment.nearest(noise, [4]) is None


def test_values_beyond_0_and_1_are_inverted_in_their_range(alignment):
    alignment.add(6, 4 * pictures(200) - 2)
    images = 4 * pictures(30, seed=1) - 2
    upside = float(images.min() + images.max()) - images
    task, symmetry = alignment.symmetries(upside, [6])[0]
    assert task == 6
    assert torch.allclose(symmetry(upside), images, atol=1e-5)


def test_images_that_are_not_square_are_never_turned_on_their_side(alignment):
    wide = pictures(200)[:, :, :6]
    alignment.add(7, wide)
    symmetries = alignment.symmetries(wide.flip(2), [7])
    assert symmetries
    assert all(symmetry(wide).shape == wide.shape for _, symmetry in symmetries)


def test_rows_that_are_no_images_have_no_symmetry(alignment):
    alignment.add(8, torch.rand(50, 144))
    assert alignment.symmetries(torch.rand(20, 144), [8, 4]) == []


def test_no_more_are_named_than_asked_for():
    images = pictures(100)
    for most in (0, 1, 2):
        found = Alignment(most)
        found.add(0, images)
        assert len(found.symmetries(images.rot90(2, (2, 3)), [0])) == most


def test_fewer_than_none_is_an_error():
    with pytest.raises(ValueError, match="symmetries: -1 must be 0"):
        Alignment(-1)


def test_what_it_remembers_can_be_given_to_another(alignment):
    alignment.add(9, pictures(50, side=8))
    state, other = alignment.state(), Alignment(most=3)
    other.add(1, pictures(40))
    other.restore(state)
    alignment.add(4, 1 - pictures(200))  # later changes do not reach it
    for tensor in state.tensors.values():
        tensor.zero_()
    images = pictures(30, seed=1).rot90(1, (2, 3))
    expected = Alignment(most=3)
    expected.add(4, pictures(200))
    expected.add(9, pictures(50, side=8))
    assert other.symmetries(images, [4]) == expected.symmetries(images, [4]) != []
    assert other.nearest(images, [1, 4]) == expected.nearest(images, [4])
