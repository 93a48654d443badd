"""Inputs of every type and holder."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from cl_moe.errors import InputError
from cl_moe.streams.inputs import batch_inputs, row_inputs, tensor_of
from cl_moe.streams.sources.base import SourceData

FLOATS = [torch.float64, torch.float16, torch.bfloat16, torch.float32]
INTEGERS = [torch.int8, torch.int16, torch.int32, torch.int64, torch.uint16]


@pytest.mark.parametrize("dtype", FLOATS)
def test_floats_become_float32(dtype: torch.dtype) -> None:
    x = torch.tensor([[0.5, -3.0]], dtype=dtype)
    assert torch.equal(batch_inputs(x), torch.tensor([[0.5, -3.0]]))
    assert torch.equal(row_inputs(x[0]), torch.tensor([0.5, -3.0]))


@pytest.mark.parametrize("dtype", INTEGERS)
def test_whole_numbers_in_vectors_are_token_ids_and_in_images_brightness(
    dtype: torch.dtype,
) -> None:
    x = torch.tensor([[5, 0, 7]]).to(dtype)
    assert batch_inputs(x).dtype == row_inputs(x[0]).dtype == torch.int64
    assert batch_inputs(x).tolist() == [[5, 0, 7]]
    images = x.view(1, 1, 3, 1)
    assert batch_inputs(images).dtype == row_inputs(images[0]).dtype == torch.float32
    assert row_inputs(images[0]).flatten().tolist() == [5.0, 0.0, 7.0]


def test_bytes_are_scaled_and_booleans_are_0_and_1() -> None:
    x = np.array([[0, 51, 255]], dtype=np.uint8)
    torch.testing.assert_close(batch_inputs(x), torch.tensor([[0.0, 0.2, 1.0]]))
    torch.testing.assert_close(row_inputs(x[0]), torch.tensor([0.0, 0.2, 1.0]))
    assert batch_inputs(x, keep_bytes=True).dtype == torch.uint8
    assert row_inputs(np.array([True, False])).tolist() == [1.0, 0.0]
    assert row_inputs(np.array([True, False])).dtype == torch.float32


def read_only() -> np.ndarray:
    array = np.array([1.0, 2.0], dtype=np.float32)
    array.flags.writeable = False
    return array


@pytest.mark.parametrize(
    "value",
    [
        read_only(),
        np.array([2.0, 1.0])[::-1],
        np.array([1.0, 2.0], dtype=">f4"),
        [torch.tensor(1.0), torch.tensor(2.0)],
        [np.float64(1.0), np.float64(2.0)],
        (1, 2.0),
        torch.tensor([1.0, 2.0], requires_grad=True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_any_holder_of_numbers_will_do(value: Any) -> None:
    x = row_inputs(value)
    assert torch.equal(x, torch.tensor([1.0, 2.0]))
    assert not x.requires_grad


def test_tensors_are_not_copied() -> None:
    x = torch.rand(3, 2)
    assert tensor_of(x) is x
    assert batch_inputs(x) is x


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (Image.new("RGB", (2, 2)), r"PIL images; .*torchvision\.transforms\.ToTensor"),
        ("text", "inputs are str"),
        (None, "inputs are NoneType"),
        ({"x": 1}, "inputs are dict"),
        (np.array(["a"]), "inputs are ndarray"),
        (torch.ones(2, dtype=torch.complex64), "inputs are complex; give real numbers"),
    ],
)
def test_what_is_no_number_is_named(value: Any, words: str) -> None:
    with pytest.raises(InputError, match=words):
        row_inputs(value)


def test_numbers_without_rows_are_told_even_where_they_are_not_finite():
    x, y = torch.tensor([1.0, float("nan")]), torch.tensor([0, 1])
    (shape, other) = (p for p in SourceData(x, y, x, y, ["a", "b"]).problems("s") if "train" in p)
    assert "inputs of shape ()" in shape
    assert "example 1 holds NaN" in other
