"""One input shape for all."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cl_moe.errors import InputError
from cl_moe.streams.shapes import fit, to_float


def test_bytes_become_fractions() -> None:
    assert to_float(torch.tensor([0, 255], dtype=torch.uint8)).tolist() == [0.0, 1.0]
    assert to_float(torch.tensor([3.0])).tolist() == [3.0]


def test_grey_is_replicated_and_colour_averaged() -> None:
    x = torch.rand(2, 1, 4, 4)
    colour = fit(x, [3, 4, 4], "t")
    assert torch.equal(colour[:, 0], colour[:, 2])
    torch.testing.assert_close(fit(colour, [1, 4, 4], "t"), x)


def test_images_are_resized_within_their_range() -> None:
    x = torch.rand(2, 1, 8, 8)
    big = fit(x, [1, 28, 28], "t")
    assert big.shape == (2, 1, 28, 28)
    assert big.min() >= x.min()
    assert big.max() <= x.max()
    torch.testing.assert_close(fit(torch.ones(1, 1, 8, 8), [1, 3, 5], "t"), torch.ones(1, 1, 3, 5))


@given(d=st.integers(1, 12), extra=st.integers(0, 5))
def test_vectors_are_filled_up(d: int, extra: int) -> None:
    x = torch.arange(1.0, d + 1).repeat(3, 1)
    out = fit(x, [d + extra], "t")
    assert torch.equal(out[:, :d], x)
    assert not out[:, d:].any()


@pytest.mark.parametrize(
    ("x", "shape", "words"),
    [
        (torch.zeros(1, 5), [4], "5 values, more than the 4"),
        (torch.zeros(1, 1, 3, 3), [8], "9 values, more than the 8"),
        (torch.zeros(1, 2, 3, 3), [3, 3, 3], "2 channels cannot become 3"),
    ],
)
def test_nothing_is_cut_off(x: torch.Tensor, shape: list[int], words: str) -> None:
    with pytest.raises(InputError, match=f"task 'a': .*{words}"):
        fit(x, shape, "task 'a'")


def test_token_ids_keep_their_own_shape() -> None:
    ids = torch.ones(2, 3, dtype=torch.int64)
    assert fit(ids, [3], "task 't'") is ids
    with pytest.raises(InputError, match=r"task 't': inputs are token ids .* of shape \(3,\)"):
        fit(ids, [4], "task 't'")
