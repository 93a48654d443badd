"""Equal perceptrons in one product per layer, without synchronising with the device.

Shape letters: B rows of a batch, E experts on offer, K experts chosen, P = B * K pairs of them.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.moe.routing import Routing, weighted_sums

__all__ = ("grouped", "why_not")

ROW_BY_ROW = (nn.Flatten, nn.Identity, nn.ReLU)
MULTIPLE = 8
"""Widths must be multiples of this: grouped products need rows of 16 bytes, in bfloat16."""


def why_not(experts: Sequence[nn.Module]) -> str:
    """Return why experts cannot be run as a group; empty where they can.

    >>> why_not([nn.Sequential(nn.Linear(8, 16), nn.ReLU())])
    ''
    >>> why_not([nn.Sequential(nn.Linear(8, 10), nn.ReLU())])
    'takes widths that are multiples of 8, not Linear(in_features=8, out_features=10, bias=True)'
    >>> why_not([nn.Conv2d(1, 1, 3)]).startswith("takes experts of Linear, Flatten, Identity, ReLU")
    True
    >>> why_not([nn.Linear(8, 8), nn.Linear(8, 16)])
    'takes experts that are alike'
    """
    if not hasattr(F, "grouped_mm"):
        return f"needs torch.nn.functional.grouped_mm, which torch {torch.__version__} has not"
    for step in _steps(experts[0]):
        if isinstance(step, nn.Linear):
            if step.in_features % MULTIPLE or step.out_features % MULTIPLE:
                return f"takes widths that are multiples of {MULTIPLE}, not {step}"
        elif not isinstance(step, ROW_BY_ROW):
            names = ", ".join(kind.__name__ for kind in (nn.Linear, *ROW_BY_ROW))
            return f"takes experts of {names} alone, not {type(step).__name__}"
    if any(repr(expert) != repr(experts[0]) for expert in experts[1:]):
        return "takes experts that are alike"
    return ""


def grouped(x: Tensor, routing: Routing, experts: Sequence[nn.Module]) -> Tensor:
    """Return the weighted sums of the chosen experts' outputs, (B, *out_shape).

    The pairs of a row and an expert are sorted by expert, and each linear layer of all experts is
    one ``grouped_mm`` over a stack of their weights, made for this pass; every expert keeps its own
    parameters. Nothing is read back from the device: on CUDA the step is launched without waiting.

    What it costs: the stack of all experts on offer, used or not, is copied in each pass; an expert
    that takes gradients but got no rows has gradient 0, not none, so that momentum and weight decay
    still change it (frozen experts do not change). On CUDA products are taken in bfloat16, the type
    with a kernel (compute capability 9.0 and later) that reads the groups on the device.

    Args:
        x: (B, ...).
        routing: per row, or one for all rows.
        experts: perceptrons of equal structure (:func:`why_not` returns '').

    >>> experts = [nn.Linear(8, 8) for _ in range(2)]
    >>> x, chosen = torch.rand(3, 8), torch.tensor([[1], [0], [1]])
    >>> y = grouped(x, Routing(torch.ones(3, 1), chosen), experts)
    >>> torch.allclose(y[0], experts[1](x[0]), atol=1e-6)
    True
    """
    shape = (len(x), routing.chosen.shape[1])
    routing = Routing(routing.weights.expand(shape), routing.chosen.expand(shape))
    ordered_P, order_P = routing.chosen.flatten().sort(stable=True)
    numbers_E = torch.arange(len(experts), device=x.device)
    ends_E = torch.searchsorted(ordered_P, numbers_E, right=True).int()
    y = x.index_select(0, order_P // shape[1])
    for alike in zip(*map(_steps, experts), strict=True):
        layers = [step for step in alike if isinstance(step, nn.Linear)]
        y = _linear(y, layers, ordered_P, ends_E) if layers else alike[0](y)
    return weighted_sums(y.to(x.dtype), routing, order_P, len(x))


def _linear(x_PD: Tensor, layers: list[nn.Linear], ordered_P: Tensor, ends_E: Tensor) -> Tensor:
    """Apply the linear layer of each row's expert."""
    kind = x_PD.dtype if x_PD.is_cpu else torch.bfloat16
    weight_EDH = torch.stack([layer.weight for layer in layers]).to(kind).transpose(1, 2)
    y_PH = F.grouped_mm(x_PD.to(kind), weight_EDH, offs=ends_E)
    if layers[0].bias is None:
        return y_PH  # type: ignore[unreachable]  # torch's annotation forgets that it may be None
    bias_EH = torch.stack([layer.bias for layer in layers]).to(kind)
    return y_PH + bias_EH.index_select(0, ordered_P)


def _steps(expert: nn.Module) -> list[nn.Module]:
    """Return the modules of an expert, in order."""
    if isinstance(expert, nn.Sequential):
        return [step for part in expert for step in _steps(part)]
    return [expert]
