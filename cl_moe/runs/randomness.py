"""A run leaves the process as it found it: random states and thread count."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

__all__ = ("isolated", "seed_all", "untouched_randomness")


@contextlib.contextmanager
def untouched_randomness() -> Iterator[None]:
    """Restore the random states of Python, NumPy and torch (CUDA's too, if in use) at the end.

    >>> import torch
    >>> _ = torch.manual_seed(0)
    >>> with untouched_randomness():
    ...     first = torch.rand(1)
    >>> bool(torch.equal(first, torch.rand(1)))
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


@contextlib.contextmanager
def isolated(threads: int) -> Iterator[None]:
    """Run with ``threads`` torch threads; restore their number and all random states at the end.

    >>> import torch
    >>> before = torch.get_num_threads()
    >>> with isolated(threads=1):
    ...     torch.get_num_threads()
    1
    >>> torch.get_num_threads() == before
    True
    """
    import torch

    before = torch.get_num_threads()
    with untouched_randomness():
        torch.set_num_threads(threads)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def seed_all(seed: int) -> None:
    """Seed Python's, NumPy's and torch's global generators; call it only inside :func:`isolated`.

    Avalanche and torch's initialisers draw from them.
    """
    import numpy as np
    import torch

    random.seed(seed)
    np.random.seed(seed % 2**32)  # noqa: NPY002
    torch.manual_seed(seed)
