"""A mixture's layer against a dense network with the same activated parameters."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks._columns import (
    COLUMNS,
    D,
    H,
    Stack,
    outputs_of,
    perceptron,
    router_of,
    run_column,
    step,
)
from benchmarks.measuring import Figure, Page, quotient, side_by_side
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.gates.ensemble import EnsembleGate
from cl_moe.moe.gates.token import TokenGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.training.model import TaskModel

__all__ = ("at_once", "by_row", "four_tasks", "one_task", "whole_steps")

EXPERTS = (4, 16, 64, 256, 1024)
ROWS = (128, 512, 4096)
TABLE = ((128, 8), (512, 16), (512, 256), (4096, 16), (4096, 256))
CLASSES = 10

ABOUT = f"""Forward and backward of a layer of experts against a dense network with the same
activated parameters: Linear({D}, {H}), ReLU, Linear({H}, {D}), one expert a row. Both take
gradients down to their input. [What each section compares](../../benchmarks/README.md)."""

NOTES = (
    """Beside the experts a batch of several tasks pays for a gather, a gate a task and a merge.
Tried and not taken: no gate where a task has one expert (little is gained), since the active
parameters that rows tell of would no longer count it.""",
    """Where a whole step is dearer with all trainable, it is torch's optimizer that looks through
every parameter for a gradient. Our strategies give it what the task trains, and no more.""",
    """Where another way is ahead row by row, it is `grouped_mm` over one stacked parameter, which
has one gradient to write where we have one an expert, and moves experts that have no rows. Tried
and not taken: a stack made for the pass (slower), one autograd node a linear layer over separate
parameters (a gain over hundreds of experts, none with few, and a
backward pass of our own to keep), undoing the sort by a gather in place of a sum (no gain).""",
)


def at_once(rows: int, experts: int) -> int:
    """Return how often to time a point: seldom where a round takes long."""
    return 41 if rows * experts <= 2**15 else 15 if rows * experts <= 2**18 else 7


def network_of(experts: int) -> MoENetwork:
    """Return a network that has learned as many tasks as it has experts, an expert each."""
    layer = MoELayer(perceptron, EnsembleGate(D), (D,), experts=experts)
    network = MoENetwork(Chain([layer]))
    for task, id_ in enumerate(layer.pool.ids):
        network.add_task(task, [[id_]], network.new_head(task, CLASSES))
    return network


def one_task(network: MoENetwork, rows: int, task: int, rounds: int) -> Figure:
    """Compare the layer, on a batch of one task, with the dense network."""
    (layer,) = network.moe_layers
    dense, x = perceptron(), torch.randn(rows, D, requires_grad=True)
    used = [x, *layer.pool[f"e{task}"].parameters()]
    times = side_by_side(
        {
            "dense": step(lambda: dense(x), [x, *dense.parameters()]),
            "ours": step(lambda: outputs_of(layer, x, task), used),
        },
        rounds,
    )
    what = f"{rows} rows, {len(layer.pool)} experts"
    return quotient(what, times["ours"], times["dense"], 1.15 if rows < 512 else 1.05)


def four_tasks(network: MoENetwork, rows: int, rounds: int) -> Figure:
    """Compare a batch whose rows are of four tasks, by their labels, with one dense pass."""
    model, dense = TaskModel(network), nn.Sequential(perceptron(), nn.Linear(D, CLASSES))
    x = torch.randn(rows, D)
    tasks = (torch.arange(rows) % 4)[torch.randperm(rows)]
    (layer,) = network.moe_layers
    parts = [m for t in range(4) for m in (layer.pool[f"e{t}"], network.heads[str(t)])]
    times = side_by_side(
        {
            "dense": step(lambda: dense(x), dense.parameters()),
            "ours": step(lambda: _logits(model, x, tasks), nn.ModuleList(parts).parameters()),
        },
        rounds,
    )
    what = f"{rows} rows, {len(layer.pool)} experts"
    return quotient(what, times["ours"], times["dense"], 1.25 if rows == 512 else None)


def whole_steps(network: MoENetwork, rows: int, task: int, rounds: int) -> list[Figure]:
    """Compare whole training steps with AdamW, old experts frozen as they are, or all trainable."""
    model, x, y = TaskModel(network), torch.randn(rows, D), torch.randint(CLASSES, (rows,))
    dense = nn.Sequential(perceptron(), nn.Linear(D, CLASSES))
    labels = torch.full((rows,), task)
    (layer,) = network.moe_layers
    active = nn.ModuleList([layer.pool[f"e{task}"], network.heads[str(task)]])
    times = side_by_side(
        {
            "dense": _training(lambda: dense(x), dense, y),
            "frozen": _training(lambda: _logits(model, x, labels), active, y),
            "all": _training(lambda: _logits(model, x, labels), model, y),
        },
        rounds,
    )
    what = f"{rows} rows, {len(layer.pool)} experts"
    return [
        quotient(f"{what}, the old ones frozen", times["frozen"], times["dense"], 1.10),
        quotient(f"{what}, all trainable", times["all"], times["dense"], 1.10),
    ]


def by_row(rows: int, experts: int, rounds: int) -> list[Figure]:
    """Compare routing row by row with the dense network, and with every other way to do it."""
    layer = MoELayer(perceptron, TokenGate(D, k=1), (D,), experts=experts)
    dense, router, stack = perceptron(), router_of(layer), Stack(layer)
    x = torch.randn(rows, D, requires_grad=True)
    modules = [layer.pool[id_] for id_ in layer.pool]
    clear = [x, *nn.ModuleList([layer, dense, router, stack]).parameters()]
    clear = [tensor for tensor in clear if tensor.requires_grad]
    columns = {
        name: column
        for name, column in COLUMNS.items()
        if column is not COLUMNS["all experts"] or rows * experts <= 2**14
    }
    variants: dict[str, Callable[[], object]] = {
        name: step(partial(run_column, column, x, router, modules, stack), clear)
        for name, column in columns.items()
    }
    variants["dense"] = step(lambda: dense(x), clear)
    variants["ours"] = step(lambda: outputs_of(layer, x), clear)
    times = side_by_side(variants, rounds)
    what = f"{rows} rows, {experts} experts"
    figures = [quotient(f"{what}: ours", times["ours"], times["dense"])]
    figures += [quotient(f"{what}: {name}", times[name], times["dense"]) for name in columns]
    best = min(columns, key=lambda name: sorted(times[name])[rounds // 2])
    against = f"{what}: ours against the best, {best}"
    return [*figures, quotient(against, times["ours"], times[best], 1.05)]


def _logits(model: TaskModel, x: Tensor, tasks: Tensor) -> Tensor:
    logits = model(x, tasks)
    assert isinstance(logits, Tensor)
    return logits


def _training(forward: Callable[[], Tensor], trained: nn.Module, y: Tensor) -> Callable[[], None]:
    optimizer = torch.optim.AdamW(trained.parameters(), lr=1e-3)

    def run() -> None:
        optimizer.zero_grad()
        F.cross_entropy(forward(), y).backward()
        optimizer.step()

    return run


def main() -> None:
    """Take all figures."""
    torch.manual_seed(0)
    page = Page("mixture", "The mixture against a dense network", ABOUT)
    ones, fours, steps = [], [], []
    for experts in EXPERTS:
        network = network_of(experts)
        for rows in ROWS:
            rounds = 101 if rows < 4096 else 15
            ones.append(one_task(network, rows, experts // 2, rounds))
        fours += [four_tasks(network, rows, 41 if rows < 4096 else 11) for rows in ROWS]
        steps += whole_steps(network, 512, experts // 2, 41)
    page.add("One task in a batch, forward and backward", ones)
    page.add("A whole training step with AdamW", steps)
    page.add("Four tasks in a batch, forward and backward", fours)
    for rows, experts in TABLE:
        found = by_row(rows, experts, at_once(rows, experts))
        page.add(f"Each row its own expert: {rows} rows, {experts} experts", found)
    for text in NOTES:
        page.note(text)
    page.note("No GPU was at hand; where there is one, `make bench BENCH=gpu` takes its figures.")
    page.write()


if __name__ == "__main__":
    main()
