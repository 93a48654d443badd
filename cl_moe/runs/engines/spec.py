"""The resources that a study requests of a Ray cluster."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import TypeAlias

from cl_moe.errors import InputError

__all__ = ("EngineLike", "RaySpec", "in_bytes")

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


@dataclass(frozen=True)
class RaySpec:
    """A Ray cluster, and the resources per run (Moritz et al. 2018).

    Args:
        address: of the cluster (``auto``, ``10.0.0.1:6379``, ``ray://10.0.0.1:10001``). None: that
            of ``RAY_ADDRESS``, or else a local Ray for the duration of the study.
        cpus: cores per run. None: its number of torch threads.
        gpus: GPUs per run, a fraction or a whole number. None: 1 on a GPU, 0 on the CPU.
        memory: memory per run: bytes, or a text such as ``"2GiB"``. Ray uses it for scheduling, and
            does not enforce it.

    Raises:
        InputError: naming every invalid number.

    >>> RaySpec(gpus=0.25, memory="2GiB").memory
    '2GiB'
    >>> RaySpec(cpus=0)
    Traceback (most recent call last):
    ...
    cl_moe.errors.InputError: cpus: 0 is not a valid number of cores; give 0.5, 1, 2, ...
    """

    address: str | None = None
    cpus: float | None = None
    gpus: float | None = None
    memory: int | str = "1GiB"

    def __post_init__(self) -> None:
        problems = []
        address: object = self.address
        if not isinstance(address, (str, type(None))):
            problems.append(f"address: {address!r} is not an address; give HOST:PORT or auto")
        if self.cpus is not None and not _is_share(self.cpus, least=0.001):
            problems.append(
                f"cpus: {self.cpus!r} is not a valid number of cores; give 0.5, 1, 2, ..."
            )
        if self.gpus is not None and not _is_share(self.gpus, least=0.0):
            problems.append(
                f"gpus: {self.gpus!r} is not a valid number of GPUs; give 0, 0.25, 1, 2, ..."
            )
        try:
            in_bytes(self.memory)
        except InputError as error:
            problems += [f"memory: {problem}" for problem in error.problems]
        if problems:
            raise InputError(problems)


EngineLike: TypeAlias = "str | RaySpec"


def in_bytes(memory: int | str) -> int:
    """Return an amount of memory in bytes.

    >>> in_bytes("2GiB"), in_bytes("500 MB"), in_bytes(1000)
    (2147483648, 500000000, 1000)
    """
    found = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([a-zA-Z]*)\s*", str(memory))
    unit = _UNITS.get((found[2] or "B").upper()) if found else None
    if isinstance(memory, bool) or found is None or unit is None:
        raise InputError(f"'{memory}' is not an amount of memory; give 2GiB, 500MiB, or bytes")
    return int(float(found[1]) * unit)


def _is_share(value: object, least: float) -> bool:
    """Whether Ray accepts an amount: a fraction of one, or a whole number."""
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        return False
    return least <= value <= 10**6 and (value <= 1 or value == int(value))
