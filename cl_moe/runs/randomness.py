"""A run leaves the process as it found it: random states and thread count."""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator

from cl_moe.seeding import preserve_random_state

__all__ = ("isolated", "preserve_random_state", "seed_all")


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
    with preserve_random_state():
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
