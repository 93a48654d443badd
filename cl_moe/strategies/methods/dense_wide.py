"""One network with all the parameters that a mixture has in the end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cl_moe.strategies.methods.base import Method, MethodContext, require, sequential

if TYPE_CHECKING:
    from torch import nn

__all__ = ("dense_wide",)


def dense_wide(context: MethodContext, /, *, experts: int | None = None) -> Method:
    """Fine-tune a dense network that has as many parameters as a mixture in the end.

    The control for "more parameters explain it". All hidden widths are multiplied by one factor,
    found by bisection, such that trunk and heads together have the parameters of a mixture with
    ``experts`` experts (and a shared one, where the network has it) and a head a task. The
    encoder is as it is; gates are small and left out.

    Args:
        context: what all methods are given.
        experts: number of experts; None for one a task of the stream.
    """
    from cl_moe.strategies.networks import dense_network

    require({f"experts: {experts} is too few; give 1 or more": experts is None or experts >= 1})
    width = _width(context, len(context.stream) if experts is None else experts)
    return sequential(context, dense_network(context, width))


def _width(context: MethodContext, experts: int) -> float:
    """Return the factor whose parameter count comes nearest to that of the mixture."""
    encoder, trunk, heads = _sizes(context, 1.0, mixture=True)
    wanted = encoder + (experts + context.network.shared_expert) * trunk + heads
    # parameters grow at least linearly with the width, so this many experts' width is enough
    low, high = 1.0, float(experts + 1)
    for _ in range(20):
        middle = (low + high) / 2
        low, high = (middle, high) if sum(_sizes(context, middle)) < wanted else (low, middle)
    return min((low, high), key=lambda width: abs(sum(_sizes(context, width)) - wanted))


def _sizes(context: MethodContext, width: float, mixture: bool = False) -> tuple[int, int, int]:
    """Return the parameters of encoder, trunk and all heads; nothing is allocated.

    A mixture has a head a task, also where dense networks have one for all.
    """
    import torch

    from cl_moe.strategies.networks import dense_network

    with torch.device("meta"):
        network: Any = dense_network(context, width)
    encoder = _count(network.trunk[0]) if context.network.encoder_hidden else 0
    one_head = context.network.heads == "shared" and not mixture
    classes = sum(task.n_classes for task in context.stream[: 1 if one_head else None])
    return encoder, _count(network.trunk) - encoder, (network.feature_dim + 1) * classes


def _count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())
