"""Compressed files: read only up to a limit, as a few megabytes may unpack to terabytes.

The limit applies to each file, array and folder of images. It is the user's, not a file's:
``CL_MOE_MAX_GIB`` in the environment raises it.
"""

from __future__ import annotations

import contextlib
import gzip
import math
import os
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.errors import InputError

if TYPE_CHECKING:
    import numpy as np
    from PIL.Image import Image

__all__ = ("array", "most_bytes", "open_image", "read_gzip", "too_large")

_DEFAULT_GIB = "2"


def most_bytes() -> int:
    """Return the limit in bytes: 2 GiB, or ``CL_MOE_MAX_GIB``.

    Raises:
        InputError: the variable is not a number above 0.
    """
    given = os.environ.get("CL_MOE_MAX_GIB") or _DEFAULT_GIB
    try:
        size = float(given) * 2**30
    except ValueError:
        size = 0.0
    if not 0 < size < 2**60:
        raise InputError(f"CL_MOE_MAX_GIB: '{given}' is not a number of GiB; give 2, 0.5 or 16")
    return int(size)


def too_large(place: str, size: int | None = None) -> InputError:
    """Return the error for a file or array that would unpack to ``size`` bytes.

    >>> print(too_large("a.npz, array 'x'", 3 * 2**30))
    a.npz, array 'x': unpacks to 3.0 GiB, more than the limit of 2 GiB; if that is right, set \
CL_MOE_MAX_GIB in the environment
    """
    limit = f"the limit of {most_bytes() / 2**30:g} GiB"
    much = f"more than {limit}" if size is None else f"{size / 2**30:.1f} GiB, more than {limit}"
    return InputError(
        f"{place}: unpacks to {much}; if that is right, set CL_MOE_MAX_GIB in the environment"
    )


def read_gzip(path: Path) -> bytes:
    """Return the content of a ``.gz`` file.

    Raises:
        InputError: it is larger than the limit.
        OSError, EOFError, zlib.error: it is damaged.
    """
    limit = most_bytes()
    with gzip.open(path) as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise too_large(str(path))
    return content


def array(archive: Any, name: str, path: Path) -> np.ndarray:
    """Return an array of an archive that ``numpy.load`` has opened.

    Its size is taken from the archive's table and from its own header, before it is unpacked.

    Raises:
        InputError: it is larger than the limit, or its header does not fit its size.
        OSError, ValueError, zipfile.BadZipFile: it is damaged, or holds pickled objects.
    """
    place = f"{path}, array '{name}'"
    table: zipfile.ZipFile = archive.zip
    entry = table.getinfo(name if name in table.namelist() else f"{name}.npy")
    if entry.file_size > most_bytes():
        raise too_large(place, entry.file_size)
    if (needed := _bytes_of(table, entry)) > entry.file_size:
        raise InputError(
            f"{place}: its header asks for {needed} bytes, but it has {entry.file_size}; "
            "save it again"
        )
    found: np.ndarray = archive[name]
    return found


def _bytes_of(table: zipfile.ZipFile, entry: zipfile.ZipInfo) -> int:
    """Return the bytes that an array's header asks for; 0 if it is not an array."""
    from numpy.lib import format as npy

    with table.open(entry) as file:
        try:
            version = npy.read_magic(file)
        except ValueError:
            return 0
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, dtype = read(file)
    return 0 if dtype.hasobject else math.prod(shape) * dtype.itemsize


@contextlib.contextmanager
def open_image(path: Path) -> Iterator[Image]:
    """Open an image that has no more pixels than Pillow's limit against decompression bombs.

    Raises:
        InputError: it has more.
        OSError, SyntaxError: it is damaged.
    """
    from PIL import Image

    most = Image.MAX_IMAGE_PIXELS
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        try:
            file = Image.open(path)
        except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
            raise InputError(
                f"{path}: has more pixels than Pillow's limit of {most} ({error}); make it "
                "smaller, or remove it"
            ) from error
    with file:
        yield file
