"""Conversion of images to 8 bits per channel."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np

from cl_moe.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ("eight_bits",)

_SIXTEEN_BITS = ("PNG", "PPM")
"""Formats whose deep grey images Pillow may open as 32 bits, with values to 65535."""


def eight_bits(image: Image, mode: Literal["L", "RGB"]) -> Image:
    """Return an image in grey or colour, 8 bits per channel.

    Deep images are scaled by the range of their type, 65535, or 1 for floats: Pillow cuts them off
    at 255. Transparency is removed.

    Raises:
        InputError: integers of 32 bits or floats outside 0 to 1, whose range nobody knows, or a
            colour space that Pillow does not convert; with the mode's name.

    >>> from PIL import Image
    >>> deep = Image.fromarray(np.array([[0, 40000, 65535]], dtype=np.uint16))
    >>> np.array(eight_bits(deep, "L")).tolist()
    [[0, 156, 255]]
    """
    from PIL import Image

    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in _SIXTEEN_BITS):
        image = Image.fromarray(_scaled(np.asarray(image), 65535))
    elif image.mode in ("I", "F"):
        values = np.asarray(image)
        if image.mode == "I" or not (values.min() >= 0 and values.max() <= 1):
            raise InputError(
                f"mode {image.mode} with values from {values.min():g} to {values.max():g}; "
                "save it with 8 or 16 bits, or as floats from 0 to 1"
            )
        image = Image.fromarray(_scaled(values, 1))
    if isinstance(image.info.get("transparency"), bytes):  # of a palette; Pillow asks for RGBA
        image = image.convert("RGBA")
    try:
        return image.convert(mode)
    except ValueError as error:
        raise InputError(f"mode {image.mode} cannot become {mode}; save it as RGB") from error


def _scaled(values: np.ndarray, most: int) -> np.ndarray:
    return np.rint(values.astype(np.float64) * (255 / most)).astype(np.uint8)
