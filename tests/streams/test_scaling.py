"""Columns near 0, far from 0, and all alike."""

from __future__ import annotations

import pytest
import torch

from cl_moe.streams.scaling import standardised


@pytest.mark.parametrize("value", [0.0, 7, 0.1, 98.6, 1013.25, 101325.7, 1e9, -3e12])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_column_that_is_alike_becomes_0(value: float, dtype: torch.dtype) -> None:
    train = torch.full((400, 1), value, dtype=dtype)
    other = torch.full((3, 1), value + 2, dtype=dtype)
    assert [part.unique().tolist() for part in standardised(train, other)] == [[0.0], [0.0]]


def test_a_column_that_varies_by_rounding_alone_becomes_0() -> None:
    train = torch.full((400, 1), 0.1, dtype=torch.float64)
    train[::2] += 1e-17
    train[::3] = torch.nextafter(train[::3], torch.tensor(1.0, dtype=torch.float64))
    assert standardised(train)[0].unique().tolist() == [0.0]


@pytest.mark.parametrize("offset", [0.0, 1e5, 1e9, -1e12])
def test_a_column_far_from_0_is_scaled_by_what_varies(offset: float) -> None:
    draw = torch.Generator().manual_seed(0)
    noise = torch.randn(500, 1, generator=draw, dtype=torch.float64)
    (found,) = standardised(offset + 0.1 * noise)
    expected = (noise - noise.mean()) / noise.std()
    torch.testing.assert_close(found, expected.float(), atol=2e-3, rtol=1e-3)
    assert found.dtype == torch.float32


def test_one_row_becomes_0() -> None:
    assert standardised(torch.tensor([[3.0, 4.0]]))[0].tolist() == [[0.0, 0.0]]
