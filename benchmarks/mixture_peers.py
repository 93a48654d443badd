"""Our layer beside those of mixture-of-experts and st-moe-pytorch (the extra ``bench``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial

import torch
from torch import Tensor, nn

from benchmarks._columns import D, H, outputs_of, perceptron, step
from benchmarks.measuring import Figure, Page, quotient, side_by_side, spread
from cl_moe.moe.gates.token import TokenGate
from cl_moe.moe.layer import MoELayer

__all__ = ("CAPACITY", "ROOMY", "kept", "layers_of", "point")

TABLE = ((128, 8), (512, 16), (512, 64), (4096, 16))
GROUP = 512
"""Rows a group: the peers' one-hot matrices grow with the square of it."""

CAPACITY = 1.25
"""What both have by default: places an expert, as a multiple of the rows an expert."""
ROOMY = 3.0
"""With two experts a row, half again the places that even routing needs: few rows find none."""

ABOUT = f"""Forward and backward of three layers with as many rows, experts and activated
parameters: perceptrons ({D}, {H}, {D}) with ReLU, two experts a row (neither peer can take one),
the second always taken, no auxiliary loss in the gradient. What differs: ours drops no row and
sorts; both peers give each expert a fixed number of places a group of rows (at most {GROUP}),
drop what finds none, and move rows by products with one-hot matrices. mixture-of-experts keeps
all experts in one parameter, without biases; st-moe-pytorch has a module an expert, here the same
as ours."""


def layers_of(experts: int, capacity: float) -> dict[str, nn.Module]:
    """Return the three layers, by name."""
    from mixture_of_experts import MoE as Plain
    from st_moe_pytorch import MoE as Stable

    return {
        "cl_moe": MoELayer(perceptron, TokenGate(D, k=2), (D,), experts=experts),
        "mixture-of-experts": Plain(
            D,
            num_experts=experts,
            hidden_dim=H,
            activation=nn.ReLU,
            second_policy_train="all",
            capacity_factor_train=capacity,
        ),
        "st-moe-pytorch": Stable(
            D,
            num_experts=experts,
            gating_top_n=2,
            threshold_train=0.0,
            capacity_factor_train=capacity,
            experts=nn.ModuleList(perceptron() for _ in range(experts)),
        ),
    }


def output(layer: nn.Module, x: Tensor) -> Tensor:
    """Return what a layer makes of rows (N, D), which the peers want in groups."""
    y: Tensor
    if isinstance(layer, MoELayer):
        y = outputs_of(layer, x)
    else:
        y = layer(x.view(-1, min(GROUP, len(x)), D))[0].view_as(x)
    return y


def kept(layer: nn.Module, x: Tensor) -> float:
    """Return the share of (row, expert) pairs that find a place."""
    if isinstance(layer, MoELayer):
        return 1.0
    dispatch, *_ = layer.get_submodule("gate")(x.view(-1, min(GROUP, len(x)), D))
    return float(dispatch.bool().sum()) / (2 * len(x))


def point(rows: int, experts: int, capacity: float, rounds: int) -> list[Figure]:
    """Compare the peers with ours, and tell how many of the pairs each one kept."""
    x, layers = torch.randn(rows, D, requires_grad=True), layers_of(experts, capacity)
    times = side_by_side(dict(_passes(layers, x)), rounds)
    ours, *peers = layers
    figures = [quotient(f"{peer} / {ours}", times[peer], times[ours]) for peer in peers]
    for peer in peers:
        shares = [100 * kept(layers[peer], torch.randn(rows, D)) for _ in range(5)]
        figures.append(spread(f"{peer}: pairs kept", shares, unit="%"))
    return figures


def _passes(layers: dict[str, nn.Module], x: Tensor) -> Iterator[tuple[str, Callable[[], None]]]:
    for name, layer in layers.items():
        clear = [x, *(p for p in layer.parameters() if p.requires_grad)]
        yield name, step(partial(output, layer, x), clear)


def main() -> None:
    """Take all figures."""
    torch.manual_seed(0)
    page = Page("mixture_peers", "The mixture beside two packages", ABOUT)
    for capacity in (ROOMY, CAPACITY):
        for rows, experts in TABLE:
            rounds = 21 if rows * experts <= 2**13 else 9
            name = f"{rows} rows, {experts} experts, capacity factor {capacity:g}"
            page.add(name, point(rows, experts, capacity, rounds))
    page.write()


if __name__ == "__main__":
    main()
