"""Experience replay."""

from __future__ import annotations

from typing import Any

from cl_moe.seeding import derive
from cl_moe.strategies.methods.base import Method, MethodContext, require, sequential

__all__ = ("replay",)


def replay(context: MethodContext, /, *, memory: int = 200) -> Method:
    """Train on each batch joined with the same number of rows from a memory of earlier tasks.

    Chaudhry et al. 2019, "On tiny episodic memories in continual learning". The memory is divided
    equally among the tasks so far; see :class:`cl_moe.strategies.baselines.replay.MemoryReplay`.

    Args:
        context: the settings that all methods share.
        memory: total number of rows in the memory.
    """
    require({f"memory: {memory} is too small; give 1 or more": memory >= 1})

    def plugins() -> list[Any]:
        from cl_moe.strategies.baselines.replay import MemoryReplay

        return [MemoryReplay(memory, derive(context.seed, "replay"))]

    return sequential(context, plugins=plugins)
