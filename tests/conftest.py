"""What every test shares: a tiny stream of tasks, and what a method is given to learn it."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    import torch

    from cl_moe.strategies.methods.base import Method, MethodContext
    from cl_moe.streams.stream import TaskStream
    from cl_moe.streams.task import Task

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


def toy_task(position: int, n: int, shape: tuple[int, ...], classes: int = 2) -> Task:
    """Return a task whose classes are blobs around centres of its own."""
    import torch

    from cl_moe.streams.task import Task

    draw = torch.Generator().manual_seed(position)
    centres = 2.0 * torch.randn(classes, *shape, generator=draw)

    def data(size: int) -> tuple[torch.Tensor, torch.Tensor]:
        y = torch.arange(size) % classes
        return centres[y] + 0.3 * torch.randn(size, *shape, generator=draw), y

    return Task(f"task{position}", data(n), data(20), [str(c) for c in range(classes)])


@pytest.fixture
def stream() -> TaskStream:
    """Three tasks of 2, 3 and 2 classes, and a probe."""
    from cl_moe.streams.stream import TaskStream

    tasks = [toy_task(k, 24, (6,), classes=3 if k == 1 else 2) for k in range(4)]
    return TaskStream(tasks[:3], probes=tasks[3:])


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
    from cl_moe.strategies.methods.base import MethodContext
    from cl_moe.streams.spec import NetworkSpec, TrainingSpec

    return MethodContext(
        stream=stream,
        network=NetworkSpec(hidden=[8, 5]),
        training=TrainingSpec(epochs=6, batch_size=8, learning_rate=0.03, min_steps=0),
        seed=0,
    )


@pytest.fixture
def learn() -> Learn:
    """Return a function that builds a method and trains it on the first tasks of its stream."""
    from cl_moe.runs.randomness import isolated, seed_all
    from cl_moe.strategies.methods.base import build_method

    def train(
        context: MethodContext, type: str, tasks: int | None = None, **parameters: object
    ) -> Method:
        with isolated(threads=1):
            seed_all(context.seed)
            method = build_method(type, parameters, context)
            experiences = list(context.stream.to_benchmark().train_stream)
            experiences = experiences[: len(context.stream) if tasks is None else tasks]
            if method.joint:
                method.strategy.train(experiences, eval_streams=[])
            else:
                for experience in experiences:
                    method.strategy.train(experience, eval_streams=[])
        return method

    return train
