"""A small stream of tasks, a context for methods, and training on it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch

from cl_moe.runs.randomness import isolated, seed_all
from cl_moe.strategies.context import Method, MethodContext
from cl_moe.strategies.methods.base import build_method
from cl_moe.streams.spec import NetworkSpec, TrainingSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task

if TYPE_CHECKING:
    from torch import Tensor

__all__ = ("learn", "toy_context", "toy_stream", "toy_task")


def toy_task(position: int, n: int = 24, shape: tuple[int, ...] = (6,), classes: int = 2) -> Task:
    """Return a task whose classes are Gaussian blobs.

    >>> toy_task(0).shape, toy_task(0).n_train
    ((6,), 24)
    """
    draw = torch.Generator().manual_seed(position)
    centres = 2.0 * torch.randn(classes, *shape, generator=draw)

    def data(size: int) -> tuple[Tensor, Tensor]:
        y = torch.arange(size) % classes
        return centres[y] + 0.3 * torch.randn(size, *shape, generator=draw), y

    return Task(f"task{position}", data(n), data(20), [str(c) for c in range(classes)])


def toy_stream() -> TaskStream:
    """Return three tasks of 2, 3 and 2 classes, and a probe."""
    tasks = [toy_task(k, classes=3 if k == 1 else 2) for k in range(4)]
    return TaskStream(tasks[:3], probes=tasks[3:])


def toy_context(stream: TaskStream, **options: Any) -> MethodContext:
    """Return the context of a method on a small stream, changed by ``options``."""
    given: dict[str, Any] = {
        "network": NetworkSpec(hidden=[8, 5]),
        "training": TrainingSpec(epochs=6, batch_size=8, learning_rate=0.03, min_steps=0),
        "seed": 0,
    }
    return MethodContext(stream=stream, **{**given, **options})


def learn(
    context: MethodContext,
    type: str | Callable[..., Any],
    tasks: int | None = None,
    **parameters: Any,
) -> Method:
    """Return a method that has learned the first tasks of its stream.

    Args:
        context: what it is given.
        type: as for :func:`~cl_moe.strategies.methods.base.build_method`.
        tasks: how many it learns; None for all.
        parameters: its parameters.
    """
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
