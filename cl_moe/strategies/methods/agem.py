"""Averaged gradient episodic memory."""

from __future__ import annotations

from typing import Any

from cl_moe.strategies.methods.base import Method, MethodContext, require, sequential

__all__ = ("agem",)


def agem(context: MethodContext, /, *, memory_per_task: int = 50, sample: int = 64) -> Method:
    """Project each gradient so that the loss on a memory does not increase (Avalanche's A-GEM).

    Chaudhry et al. 2019, "Efficient lifelong learning with A-GEM", eq. 11.

    Args:
        context: the settings that all methods share.
        memory_per_task: rows per task in the memory.
        sample: rows drawn from the memory per step, divided equally among the tasks so far.
    """
    tasks = len(context.stream)
    require(
        {
            f"memory_per_task: {memory_per_task} is too small; give 1 or more": (
                memory_per_task >= 1
            ),
            f"sample: {sample} gives some of {tasks} tasks none; give {tasks} or more": (
                sample >= tasks
            ),
        }
    )

    def plugins() -> list[Any]:
        from cl_moe.strategies.baselines.agem import TensorAGEM

        return [TensorAGEM(memory_per_task, sample)]

    return sequential(context, plugins=plugins)
