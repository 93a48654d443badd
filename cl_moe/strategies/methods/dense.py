"""One network for all tasks, trained on one after the other."""

from __future__ import annotations

from cl_moe.strategies.methods.base import Method, MethodContext, sequential

__all__ = ("dense",)


def dense(context: MethodContext, /) -> Method:
    """Fine-tune one dense network; nothing is done against forgetting.

    The lower bound of every study: it has the active parameters of a mixture with one expert a
    row. It has a head a task, or one for all where ``heads = "shared"`` under ``[network]``.
    """
    return sequential(context)
