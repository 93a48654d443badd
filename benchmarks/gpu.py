"""A layer of experts on a GPU: sorted and grouped dispatch against a dense network, in bfloat16.

Where there is no GPU nothing is written. The same code runs on the CPU in a test.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor

from benchmarks._columns import D, H, outputs_of, perceptron
from benchmarks.measuring import Figure, Page, quotient, side_by_side
from cl_moe.moe.gates.token import TokenGate
from cl_moe.moe.layer import MoELayer

__all__ = ("point", "waits")

TABLE = ((512, 16), (4096, 16), (4096, 256), (32768, 16), (32768, 256))

ABOUT = f"""Forward and backward of a layer of perceptrons ({D}, {H}, {D}), each row with an expert
of its own (k = 1), against a dense network with the same activated parameters; parameters in
float32, products in bfloat16."""


def layers_of(experts: int, device: str) -> dict[str, MoELayer]:
    """Return a layer a dispatch, with the same parameters."""
    return {
        "sorted": MoELayer(perceptron, TokenGate(D), (D,), experts, dispatch="sorted").to(device),
        "grouped": MoELayer(perceptron, TokenGate(D), (D,), experts, dispatch="grouped").to(device),
    }


def passes(
    module: Callable[[], Tensor], parameters: list[Tensor], device: str
) -> Callable[[], None]:
    """Return a forward and a backward pass that ends when the device has done it."""
    kind = torch.device(device).type

    def run() -> None:
        with torch.autocast(kind, torch.bfloat16, enabled=kind == "cuda"):
            y = module()
        y.float().sum().backward()
        for tensor in parameters:
            tensor.grad = None
        if kind == "cuda":
            torch.cuda.synchronize()

    return run


def point(rows: int, experts: int, device: str, rounds: int) -> list[Figure]:
    """Compare both kinds of dispatch with the dense network."""
    x, dense = torch.randn(rows, D, device=device), perceptron().to(device)
    variants = {"dense": passes(lambda: dense(x), [*dense.parameters()], device)}
    for name, layer in layers_of(experts, device).items():
        held: list[Tensor] = list(layer.parameters())
        variants[name] = passes(partial(outputs_of, layer, x), held, device)
    times = side_by_side(variants, rounds, warmup=5)
    what = f"{rows} rows, {experts} experts"
    return [
        quotient(f"{what}: {name}", times[name], times["dense"]) for name in ("sorted", "grouped")
    ]


def waits(layer: MoELayer, x: Tensor) -> bool:
    """Tell whether a training step makes the program wait for the GPU."""
    optimizer = torch.optim.SGD(layer.parameters(), lr=1e-3)
    torch.cuda.set_sync_debug_mode("error")
    try:
        outputs_of(layer, x).sum().backward()
        optimizer.step()
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        return True
    finally:
        torch.cuda.set_sync_debug_mode("default")
    return False


def main() -> None:
    """Take all figures, on a GPU."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cuda", help="where to run")
    device: str = parser.parse_args().device
    if torch.device(device).type != "cuda" or not torch.cuda.is_available():
        print("No GPU is at hand (or another device was asked for): nothing is written.")
        return
    torch.manual_seed(0)
    page = Page("gpu", "The mixture on a GPU", f"{ABOUT} On {torch.cuda.get_device_name(device)}.")
    for rows, experts in TABLE:
        page.add(f"{rows} rows, {experts} experts", point(rows, experts, device, rounds=41))
    for name, layer in layers_of(16, device).items():
        found = "waits" if waits(layer, torch.randn(512, D, device=device)) else "does not wait"
        page.note(f"With {name} dispatch a training step {found} for the GPU.")
    page.write()


if __name__ == "__main__":
    main()
