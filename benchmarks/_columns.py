"""Ways of sending each row to an expert of its own, to hold ours against: the columns of a table.

All are given the same parameters, choose the same experts (k = 1) and return the same numbers. The
first keeps a parameter set an expert, the others hold all experts in one stacked parameter, as most
implementations do, so that an expert without rows has gradient 0, not none, and is moved by
momentum and weight decay. Shape letters: N rows, E experts, D width, H hidden, C capacity.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.moe.layer import MoELayer

__all__ = (
    "COLUMNS",
    "Column",
    "D",
    "H",
    "Stack",
    "outputs_of",
    "perceptron",
    "router_of",
    "run_column",
    "step",
)

D, H = 256, 512


def perceptron(shape: Sequence[int] = (D,), hidden: int = H) -> nn.Sequential:
    """Return an expert, which is also the dense network: two linear maps with a ReLU between."""
    (width,) = shape
    return nn.Sequential(nn.Linear(width, hidden), nn.ReLU(), nn.Linear(hidden, width))


def step(forward: Callable[[], Tensor], clear: Iterable[Tensor]) -> Callable[[], None]:
    """Return a forward and a backward pass, after which no gradient is left in ``clear``."""
    held = list(clear)
    out_gradient = torch.randn_like(forward())

    def run() -> None:
        forward().backward(out_gradient)
        for tensor in held:
            tensor.grad = None

    return run


def router_of(layer: MoELayer) -> nn.Linear:
    """Return one matrix for all experts, with the numbers of the layer's token gate."""
    columns = torch.stack(
        [layer.gate.get_parameter(f"columns.{id_}").detach() for id_ in layer.pool]
    )
    router = nn.Linear(columns.shape[1] - 1, len(columns))
    with torch.no_grad():
        router.weight.copy_(columns[:, :-1])
        router.bias.copy_(columns[:, -1])
    return router


def run_column(
    column: Column, x: Tensor, router: nn.Linear, experts: Sequence[nn.Module], stack: Stack
) -> Tensor:
    """Choose each row's expert, (N,), and its weight, (N, 1), then run the experts."""
    weight, chosen = router(x).softmax(-1).max(-1)
    y: Tensor = column(x, chosen, experts, stack) * weight.unsqueeze(1)
    return y


def outputs_of(layer: MoELayer, x: Tensor, task: int = 0) -> Tensor:
    """Return what a layer gives rows (B, ...) of one task."""
    with layer.context.of(task):
        y: Tensor = layer(x)
    return y


class Stack(nn.Module):
    """All experts of a layer as one parameter a tensor: (E, H, D), (E, H), (E, D, H), (E, D)."""

    def __init__(self, layer: MoELayer) -> None:
        super().__init__()
        named = [dict(layer.pool[id_].named_parameters()) for id_ in layer.pool]
        self.w1, self.b1, self.w2, self.b2 = (
            nn.Parameter(torch.stack([expert[name].detach() for expert in named]))
            for name in ("0.weight", "0.bias", "2.weight", "2.bias")
        )

    def batched(self, x_ECD: Tensor) -> Tensor:
        """Apply each expert to rows of its own."""
        h = torch.baddbmm(self.b1.unsqueeze(1), x_ECD, self.w1.transpose(1, 2)).relu()
        return torch.baddbmm(self.b2.unsqueeze(1), h, self.w2.transpose(1, 2))


Column = Callable[[Tensor, Tensor, Sequence[nn.Module], Stack], Tensor]
"""From rows (N, D) and their experts (N,) to the outputs, without their weights."""


def separate(x: Tensor, chosen: Tensor, experts: Sequence[nn.Module], stack: Stack) -> Tensor:
    """Sort the rows, call each expert that has some: a parameter set an expert."""
    order = chosen.argsort(stable=True)
    counts = chosen.bincount(minlength=len(experts)).tolist()
    parts = x[order].split(counts)
    y = torch.cat([expert(part) for expert, part in zip(experts, parts, strict=True) if len(part)])
    return y[order.argsort()]


def grouped_mm(x: Tensor, chosen: Tensor, experts: Sequence[nn.Module], stack: Stack) -> Tensor:
    """Sort the rows, one ``grouped_mm`` a linear map."""
    order = chosen.argsort(stable=True)
    ends = chosen.bincount(minlength=len(experts)).cumsum(0).int()
    of_row = chosen[order]
    h = F.grouped_mm(x[order], stack.w1.transpose(1, 2), offs=ends) + stack.b1[of_row]
    y = F.grouped_mm(h.relu(), stack.w2.transpose(1, 2), offs=ends) + stack.b2[of_row]
    return y[order.argsort()]


def padded_bmm(x: Tensor, chosen: Tensor, experts: Sequence[nn.Module], stack: Stack) -> Tensor:
    """Give each expert as many places as the fullest needs, one batched product a linear map."""
    place, capacity = _places(chosen, len(experts))
    slots = chosen * capacity + place
    filled = x.new_zeros(len(experts) * capacity, x.shape[1]).index_copy(0, slots, x)
    y = stack.batched(filled.view(len(experts), capacity, -1)).flatten(0, 1)
    return y[slots]


def one_hot(x: Tensor, chosen: Tensor, experts: Sequence[nn.Module], stack: Stack) -> Tensor:
    """Do the same by products with one-hot matrices, as in GShard and Switch."""
    place, capacity = _places(chosen, len(experts))
    expert = F.one_hot(chosen, len(experts)).to(x.dtype)
    slot = F.one_hot(place, capacity).to(x.dtype)
    dispatch_NEC = expert.unsqueeze(2) * slot.unsqueeze(1)
    y_ECD = stack.batched(torch.einsum("nd,nec->ecd", x, dispatch_NEC))
    return torch.einsum("ecd,nec->nd", y_ECD, dispatch_NEC)


def all_experts(x: Tensor, chosen: Tensor, experts: Sequence[nn.Module], stack: Stack) -> Tensor:
    """Run every expert on every row, and keep what was chosen."""
    y_END = stack.batched(x.expand(len(experts), *x.shape))
    return y_END[chosen, torch.arange(len(x))]


def _places(chosen: Tensor, experts: int) -> tuple[Tensor, int]:
    """Return each row's place among those of its expert, and the number of places needed."""
    order, counts = chosen.argsort(stable=True), chosen.bincount(minlength=experts)
    starts = (counts.cumsum(0) - counts)[chosen[order]]
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order)) - starts
    return place, int(counts.max())


COLUMNS: dict[str, Column] = {
    "separate parameters, sorted": separate,
    "grouped_mm": grouped_mm,
    "padded bmm": padded_bmm,
    "one-hot einsum": one_hot,
    "all experts": all_experts,
}
