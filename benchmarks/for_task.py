"""Predicting for one task: ``model.for_task(t)`` against the network that it was taken from."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from benchmarks._columns import D, H, perceptron
from benchmarks.measuring import Figure, Page, quotient, side_by_side, spread
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.gates.ensemble import EnsembleGate
from cl_moe.moe.gates.masked import MaskedGate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.training.model import TaskModel

__all__ = ("model_of", "point")

EXPERTS = (4, 16, 64, 256)
ROWS = (1, 128, 512)

ABOUT = f"""A network of as many tasks as experts, each a perceptron ({D}, {H}, {D}) and a head.
Predicting for one task by the module that ``model.for_task(t)`` takes out, against the whole model
with the rows' task labels: time, and parameters that are held."""


def model_of(experts: int, by_row: bool = False) -> TaskModel:
    """Return a model of as many tasks as experts; a task has one, or two to choose from by row."""
    gate = (MaskedGate if by_row else EnsembleGate)(D, k=1)
    layer = MoELayer(perceptron, gate, (D,), experts=experts)
    network = MoENetwork(Chain([layer]))
    ids = layer.pool.ids
    for task in range(experts):
        assigned = [ids[task], ids[task - 1]] if by_row else [ids[task]]
        network.add_task(task, [assigned], network.new_head(task, 10))
    model = TaskModel(network)
    model.eval()
    return model


def point(model: TaskModel, rows: int, task: int, rounds: int, repeats: int) -> Figure:
    """Compare the time of ``repeats`` predictions."""
    x, labels, answer = torch.randn(rows, D), torch.full((rows,), task), model.for_task(task)
    times = side_by_side(
        {
            "whole": _predictions(lambda: model(x, labels), repeats),
            "one": _predictions(lambda: answer(x), repeats),
        },
        rounds,
    )
    return quotient(f"{rows} rows: time", times["one"], times["whole"])


def held(module: nn.Module) -> int:
    """Return the number of parameters."""
    return sum(parameter.numel() for parameter in module.parameters())


def _predictions(
    predict: Callable[[], Tensor | dict[int, Tensor]], repeats: int
) -> Callable[[], None]:
    @torch.inference_mode()
    def run() -> None:
        for _ in range(repeats):
            predict()

    return run


def main() -> None:
    """Take all figures."""
    torch.manual_seed(0)
    page = Page("for_task", "Predicting for one task", ABOUT)
    for by_row in (False, True):
        for experts in EXPERTS:
            model, task = model_of(experts, by_row), experts // 2
            share = held(model.for_task(task)) / held(model)
            figures = [point(model, rows, task, 41, repeats=max(5, 200 // rows)) for rows in ROWS]
            figures.append(spread("parameters held", [100 * share] * 2, unit="%"))
            kind = "two experts a task, chosen row by row" if by_row else "one expert a task"
            page.add(f"{kind}: {experts} experts", figures)
    page.write()


if __name__ == "__main__":
    main()
