"""One input shape for all tasks of a stream."""

from __future__ import annotations

from collections.abc import Sequence
from math import prod

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_moe.errors import InputError

__all__ = ("fit", "to_float")


def to_float(x: Tensor) -> Tensor:
    """Return a source's inputs as float32, bytes scaled to [0, 1]; token ids stay int64."""
    return x.to(torch.float32).div_(255) if x.dtype == torch.uint8 else x


def fit(x: Tensor, shape: Sequence[int], place: str) -> Tensor:
    """Return inputs x_N... in the shape (d,) or (C, H, W).

    Images are resized (bilinear, antialiased) and their channels replicated or averaged; vectors
    are padded with zeros, and reshaped row by row to images; images are flattened to vectors.
    Nothing is truncated.

    Raises:
        InputError: the inputs are larger than a shape they cannot be resized to, or token ids.

    >>> fit(torch.ones(2, 3), [1, 2, 2], "task 'toy'")[0].tolist()
    [[[1.0, 1.0], [1.0, 0.0]]]
    """
    if list(x.shape[1:]) == list(shape):
        return x
    if not x.is_floating_point():
        raise InputError(
            f"{place}: inputs are token ids (whole numbers) of shape {tuple(x.shape[1:])}, which "
            f"cannot be brought to shape {list(shape)} under [stream]; give their own shape"
        )
    if x.ndim == 4 and len(shape) == 3:
        return _resized(_channels(x, shape[0], place), shape[1], shape[2])
    flat, size = x.flatten(1), prod(shape)
    if flat.shape[1] > size:
        raise InputError(
            f"{place}: inputs of shape {tuple(x.shape[1:])} have {flat.shape[1]} values, more than "
            f"the {size} of shape {list(shape)} under [stream]; give a larger shape"
        )
    return F.pad(flat, (0, size - flat.shape[1])).view(len(x), *shape)


def _channels(x: Tensor, wanted: int, place: str) -> Tensor:
    if x.shape[1] == wanted:
        return x
    if x.shape[1] == 1:
        return x.repeat(1, wanted, 1, 1)
    if wanted == 1:
        return x.mean(1, keepdim=True)
    raise InputError(
        f"{place}: {x.shape[1]} channels cannot become {wanted}; give shape = [1, ...] or "
        f"[{x.shape[1]}, ...] under [stream]"
    )


def _resized(x: Tensor, height: int, width: int) -> Tensor:
    if tuple(x.shape[2:]) == (height, width):
        return x
    return F.interpolate(
        x, (height, width), mode="bilinear", align_corners=False, antialias=True
    ).clamp(float(x.min()), float(x.max()))
