"""Conversion of inputs to tensors: float32, or int64 for token ids."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor

from cl_moe.errors import InputError

__all__ = ("INTEGERS", "batch_inputs", "row_inputs", "tensor_of")

INTEGERS = {
    getattr(torch, name)
    for name in ("int8", "int16", "int32", "int64", "uint16", "uint32", "uint64")
    if hasattr(torch, name)
}


def tensor_of(value: Any) -> Tensor:
    """Return numbers in any container as a tensor of their own type.

    Arrays may be read-only, in another byte order or have strides below 0; lists may hold tensors.

    Raises:
        TypeError: there are no numbers in it; or ValueError, RuntimeError, as numpy and torch do.

    >>> tensor_of(np.array([1, 2], dtype=">i2")[::-1])
    tensor([2, 1], dtype=torch.int16)
    """
    if isinstance(value, Tensor):
        return value.detach() if value.requires_grad else value
    if isinstance(value, (list, tuple)) and value and isinstance(value[0], Tensor):
        return torch.stack([torch.as_tensor(part) for part in value])
    if hasattr(value, "__array__"):
        array = np.asarray(value)
        array = array.astype(array.dtype.newbyteorder("="), copy=not array.flags.writeable)
        return torch.from_numpy(np.ascontiguousarray(array)).view(array.shape)
    return torch.as_tensor(value)


def batch_inputs(values: Any, *, keep_bytes: bool = False) -> Tensor:
    """Return inputs x_N... as float32, bytes scaled to [0, 1], or as int64 token ids (N, length).

    Integers in rows (N, length) are token ids for an embedding, and stay integers; in images (N, H,
    W), (N, C, H, W) they are brightness, and become float32 without scaling. Booleans become 0 and
    1.

    Args:
        values: an array, a tensor, or a list of numbers, arrays or tensors.
        keep_bytes: leave uint8 as it is, a quarter of the memory.

    Raises:
        InputError: there are no numbers, or complex ones.

    >>> batch_inputs(np.array([[0, 255]], dtype=np.uint8))
    tensor([[0., 1.]])
    >>> batch_inputs([[7, 3]]).dtype
    torch.int64
    """
    x = _numbers(values)
    return x if keep_bytes and x.dtype == torch.uint8 else _converted(x, x.ndim - 1)


def row_inputs(value: Any) -> Tensor:
    """Return one input x... in the form of :func:`batch_inputs`.

    Raises:
        InputError: it is no array of numbers, with what would make it one.

    >>> row_inputs("a text")
    Traceback (most recent call last):
    ...
    cl_moe.errors.InputError: inputs are str; give tensors or arrays of numbers
    """
    x = _numbers(value)
    return _converted(x, x.ndim)


def _numbers(value: Any) -> Tensor:
    kind = type(value)
    if kind.__module__.partition(".")[0] == "PIL":
        raise InputError(
            "inputs are PIL images; give the data set "
            "transform=torchvision.transforms.ToTensor() (or PILToTensor(), which keeps bytes)"
        )
    try:
        return tensor_of(value)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"inputs are {kind.__name__}; give tensors or arrays of numbers"
        ) from error


def _converted(x: Tensor, row_dims: int) -> Tensor:
    if x.dtype == torch.uint8:
        return x / 255
    if x.dtype in INTEGERS:
        return x.to(torch.int64 if row_dims == 1 else torch.float32)
    if x.is_floating_point() or x.dtype == torch.bool:
        return x.to(torch.float32)
    kind = "complex" if x.is_complex() else str(x.dtype)
    raise InputError(f"inputs are {kind}; give real numbers")
