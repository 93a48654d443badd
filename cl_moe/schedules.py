"""Learning-rate schedules: the factor of the learning rate at each optimizer step of a task."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from torch.optim import Optimizer

__all__ = ("Schedule", "factor_at", "scaled")

Schedule = Literal["constant", "one_cycle"]
"""The learning rate is constant, or rises and falls once in each task."""

START, WARM_UP = 0.04, 0.25
"""Of one_cycle: the first factor, and the share of a task's steps in which it rises to 1."""


def factor_at(schedule: Schedule, step: int, steps: int) -> float:
    """Return the factor of the learning rate at one step of a task.

    ``one_cycle`` (Smith & Topin 2018): it rises from 0.04 to 1 in the first quarter of the steps,
    and then falls to almost 0, both as half a period of a cosine.

    Args:
        schedule: its name.
        step: optimizer steps of the task before this one.
        steps: optimizer steps of the whole task.

    >>> [round(factor_at("one_cycle", step, 100), 2) for step in (0, 25, 60, 99)]
    [0.04, 1.0, 0.55, 0.0]
    >>> factor_at("constant", 60, 100)
    1.0
    """
    if schedule == "constant":
        return 1.0
    done = min(1.0, step / max(1, steps))
    if done < WARM_UP:
        return START + (1 - START) * (1 - math.cos(math.pi * done / WARM_UP)) / 2
    return (1 + math.cos(math.pi * (done - WARM_UP) / (1 - WARM_UP))) / 2


@contextlib.contextmanager
def scaled(optimizer: Optimizer, factor: float) -> Iterator[None]:
    """Multiply the learning rate of each parameter group in the body.

    Outside of a step, groups have their own learning rates.

    >>> import torch
    >>> optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)
    >>> with scaled(optimizer, 0.1):
    ...     optimizer.param_groups[0]["lr"]
    0.05
    >>> optimizer.param_groups[0]["lr"]
    0.5
    """
    rates = [group["lr"] for group in optimizer.param_groups]
    for group, rate in zip(optimizer.param_groups, rates, strict=True):
        group["lr"] = factor * rate
    try:
        yield
    finally:
        for group, rate in zip(optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
