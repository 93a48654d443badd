"""Random numbers from named places: every generator is derived from (seed, purpose)."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import torch

__all__ = ("derive", "generator", "preserve_random_state")


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed that depends on ``seed`` and on every word of ``purpose``.

    Two purposes give unrelated seeds, so that drawing more numbers for one task never changes
    what another task sees.

    >>> derive(0, "stream", "mnist") == derive(0, "stream", "mnist")
    True
    >>> derive(0, "stream", "mnist") == derive(0, "stream", "kmnist")
    False
    """
    text = "\x1f".join([str(seed), *(f"{type(word).__name__}:{word}" for word in purpose)])
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big") >> 1


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """Return a CPU ``torch.Generator`` seeded with :func:`derive`.

    >>> import torch
    >>> a, b = generator(0, "noise"), generator(0, "noise")
    >>> bool(torch.equal(torch.rand(3, generator=a), torch.rand(3, generator=b)))
    True
    """
    import torch

    return torch.Generator().manual_seed(derive(seed, *purpose))


@contextlib.contextmanager
def preserve_random_state() -> Iterator[None]:
    """Restore the random states of Python, NumPy and torch (CUDA's too, if in use) at the end.

    >>> import torch
    >>> before = torch.get_rng_state()
    >>> with preserve_random_state():
    ...     first = torch.rand(1)
    >>> bool(torch.equal(before, torch.get_rng_state()))
    True
    """
    import numpy as np
    import torch

    python_state = random.getstate()
    numpy_state = np.random.get_state()  # noqa: NPY002 - what is saved is the global state
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else []
    with torch.random.fork_rng(devices=list(devices)):
        try:
            yield
        finally:
            random.setstate(python_state)
            np.random.set_state(numpy_state)  # noqa: NPY002
