"""One network, trained on one task after the other."""

from __future__ import annotations

from cl_moe.strategies.methods.base import Method, MethodContext, sequential

__all__ = ("dense",)


def dense(context: MethodContext, /) -> Method:
    """Fine-tune one dense network, without protection against forgetting.

    The lower bound of every study: it has as many active parameters as a mixture with one expert
    per row. It has one head per task, or one for all with ``heads = "shared"`` under ``[network]``.
    """
    return sequential(context)
