"""What every test shares: a tiny stream of tasks, and what a method is given to learn it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from cl_moe.strategies.methods.base import Method, MethodContext
    from cl_moe.streams.stream import TaskStream

    Learn = Callable[..., Method]

os.environ.setdefault("MPLBACKEND", "Agg")


@pytest.fixture(autouse=True, scope="session")
def _one_thread() -> None:
    """Small tensors on two cores: more threads only get in each other's way."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """Return the folder of real data that CL_MOE_DATA_DIR names; skip where there is none."""
    folder = os.environ.get("CL_MOE_DATA_DIR")
    if not folder or not Path(folder).is_dir():
        pytest.skip("needs real data: set CL_MOE_DATA_DIR to a folder in torchvision's layout")
    return Path(folder)


@pytest.fixture
def stream() -> TaskStream:
    """Three tasks of 2, 3 and 2 classes, and a probe."""
    from cl_moe.testing.learning import toy_stream

    return toy_stream()


@pytest.fixture
def conflicting() -> TaskStream:
    """Three tasks on one set of inputs, whose labels depend on different directions."""
    import torch

    from cl_moe.streams.stream import TaskStream
    from cl_moe.streams.task import Task

    draw = torch.Generator().manual_seed(0)
    tasks = []
    for k in range(3):
        x = torch.randn(240, 4, generator=draw)
        y = (x[:, k] * x[:, k + 1] > 0).long()  # must be learned in the trunk: no head can
        tasks.append(Task(f"xor{k}", (x[:160], y[:160]), (x[160:], y[160:]), "ab"))
    return TaskStream(tasks)


@pytest.fixture
def context(stream: TaskStream) -> MethodContext:
    """What a method of the tiny stream is given."""
    from cl_moe.testing.learning import toy_context

    return toy_context(stream)


@pytest.fixture
def learn() -> Learn:
    """Return a function that builds a method and trains it on the first tasks of its stream."""
    from cl_moe.testing import learning

    return learning.learn
