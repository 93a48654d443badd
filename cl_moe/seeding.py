"""Seeds of random generators, each derived from a seed and a purpose."""

from __future__ import annotations

import contextlib
import hashlib
import random
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import torch

__all__ = ("derive", "generator", "preserve_random_state", "random_state", "set_random_state")


def derive(seed: int, *purpose: str | int) -> int:
    """Return a 63-bit seed that depends on ``seed`` and on every word of ``purpose``.

    Different purposes have unrelated seeds, so that drawing more numbers for one task never changes
    those of another task.

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


def random_state() -> dict[str, Any]:
    """Return the random states of Python, NumPy and torch (CUDA's too, if in use), JSON-able.

    >>> import torch
    >>> before = random_state()
    >>> first = torch.rand(1)
    >>> set_random_state(before)
    >>> bool(first == torch.rand(1))
    True
    """
    import numpy as np
    import torch

    version, numbers, gauss = random.getstate()
    kind, keys, position, has_gauss, cached = np.random.get_state()  # noqa: NPY002
    cuda = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return {
        "python": [version, list(numbers), gauss],
        "numpy": [kind, [int(key) for key in keys], position, has_gauss, cached],
        "torch": [_hex(state) for state in (torch.get_rng_state(), *cuda)],
    }


def set_random_state(state: dict[str, Any]) -> None:
    """Restore the result of :func:`random_state`."""
    import numpy as np
    import torch

    version, numbers, gauss = state["python"]
    random.setstate((version, tuple(numbers), gauss))
    kind, keys, *others = state["numpy"]
    np.random.set_state((kind, np.array(keys, dtype=np.uint32), *others))  # noqa: NPY002
    own, *cuda = (torch.frombuffer(bytearray.fromhex(t), dtype=torch.uint8) for t in state["torch"])
    torch.set_rng_state(own)
    if cuda:
        torch.cuda.set_rng_state_all(cuda)


def _hex(state: torch.Tensor) -> str:
    return bytes(state.numpy()).hex()
