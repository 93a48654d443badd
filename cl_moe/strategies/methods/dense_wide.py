"""A dense network with the final number of parameters of a mixture."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from cl_moe.strategies.methods.base import Method, MethodContext, require, sequential

if TYPE_CHECKING:
    from torch import nn

__all__ = ("dense_wide",)


def dense_wide(context: MethodContext, /, *, experts: int | None = None) -> Method:
    """Fine-tune a dense network with the final number of parameters of a mixture.

    The control for the number of parameters. All hidden widths are multiplied by one factor, found
    by bisection, such that trunk and heads together have as many parameters as a mixture with
    ``experts`` experts (and a shared one, where the network has it) and one head per task. The
    encoder is not widened; gates are small and not counted.

    Args:
        context: what all methods are given.
        experts: number of experts; None for one per task of the stream.
    """
    from cl_moe.strategies.networks import dense_network

    require({f"experts: {experts} is too few; give 1 or more": experts is None or experts >= 1})
    width = _width(context, len(context.stream) if experts is None else experts)
    return sequential(context, dense_network(context, width))


def _width(context: MethodContext, experts: int) -> float:
    """Return the factor with the parameter count nearest to the mixture's."""
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

    A mixture has one head per task, also where dense networks share one.
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
