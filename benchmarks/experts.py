"""Experts for images against a torchvision-style residual network in a bare loop.

``python -m benchmarks.experts`` needs CIFAR-100 in the folder that ``CL_MOE_DATA_DIR`` names, and
takes some minutes. Learning rates are selected on rows held out of the training data of the first
two tasks, by the same search for all variants.
"""

from __future__ import annotations

import csv
import io
import os
import time
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from benchmarks.measuring import Figure, Page, quotient, side_by_side
from cl_moe import NetworkSpec, ScenarioSpec, Task, TaskStream, TrainingSpec
from cl_moe.analysis.stats import interval
from cl_moe.moe.experts.base import cut, make_module, output_shape
from cl_moe.moe.freezing import count_parameters
from cl_moe.runs.folder.files import write_text
from cl_moe.schedules import Schedule
from cl_moe.strategies.methods.base import MethodContext, build_method
from cl_moe.strategies.networks import trunk_stages

__all__ = ("VARIANTS", "Variant", "bare_accuracy", "our_accuracy", "residual", "split")

RATES = (1e-3, 3e-3, 1e-2)
EPOCHS, BATCH, CLASSES = 10, 32, 10
ABOUT = """Split CIFAR-100, its 250 training images a class: ten tasks of ten classes and 2,500
images, each learned from scratch in 10 epochs of batches of 32 with Adam; accuracy on the 500 test
images of a task, in percent. Differences are paired by task, with a 95 % interval over the ten
tasks (bootstrap), one seed. The learning rate of each variant is the best of 0.001, 0.003 and
0.01 on held-out fifths of the training data of the first two tasks. The bare loop trains
torchvision's basic blocks (16, 32, 64 channels, one block each) with `OneCycleLR`."""
TUNED_ON = 2
"""Number of tasks whose held-out rows select a learning rate."""


@dataclass(frozen=True)
class Variant:
    """A way to learn one task.

    Attributes:
        name: in the table.
        network: the network of cl_moe; None for the bare loop.
        schedule: of the learning rate.
    """

    name: str
    network: NetworkSpec | None
    schedule: Schedule


VARIANTS = (
    Variant("conv, constant rate", NetworkSpec(kind="conv"), "constant"),
    Variant("conv, one cycle", NetworkSpec(kind="conv"), "one_cycle"),
    Variant("resnet, one cycle", NetworkSpec(kind="resnet", channels=[16, 32, 64]), "one_cycle"),
    Variant("bare loop: torchvision's blocks, one cycle", None, "one_cycle"),
)


def stream_of(tasks: int) -> TaskStream:
    """Return the first tasks of Split CIFAR-100: ten classes each, in the order of their labels."""
    of = [
        {"name": f"split{n}", "source": "cifar", "classes": [*range(10 * n, 10 * n + CLASSES)]}
        for n in range(tasks)
    ]
    source = {"cifar": {"type": "torchvision", "dataset": "CIFAR100"}}
    told = {"name": "split_cifar100", "methods": [], "sources": source, "tasks": of}
    folder = os.environ.get("CL_MOE_DATA_DIR")
    spec = ScenarioSpec.from_dict({**told, "stream": {"shape": [3, 32, 32]}})
    return spec.build_stream(0, None if folder is None else Path(folder))


def split(task: Task, seed: int = 0) -> Task:
    """Return a task whose test rows are a fifth of the training rows of the given one.

    >>> x, y = torch.zeros(50, 2), torch.arange(50) % 2
    >>> split(Task("t", (x, y), (x, y), ["a", "b"]))
    Task('t', 2 classes, shape (2,), 40 train, 10 test)
    """
    x, y = task.tensors("train")
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    held, kept = order[: len(y) // 5], order[len(y) // 5 :]
    return Task(task.name, (x[kept], y[kept]), (x[held], y[held]), task.classes)


def residual(channels: Sequence[int] = (16, 32, 64), in_channels: int = 3) -> nn.Module:
    """Return a network of torchvision's basic blocks, its stem without pooling, for 32 x 32 pixels.

    >>> residual()(torch.zeros(2, 3, 32, 32)).shape
    torch.Size([2, 10])
    """
    from torchvision.models.resnet import BasicBlock

    before = channels[0]
    stem = nn.Conv2d(in_channels, before, 3, padding=1, bias=False)
    parts: list[nn.Module] = [stem, nn.BatchNorm2d(before), nn.ReLU()]
    for number, width in enumerate(channels):
        stride, narrower = (1 if number == 0 else 2), None
        if number:
            shortcut = nn.Conv2d(before, width, 1, stride=stride, bias=False)
            narrower = nn.Sequential(shortcut, nn.BatchNorm2d(width))
        parts.append(BasicBlock(before, width, stride, narrower))
        before = width
    pool = [nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(before, CLASSES)]
    return nn.Sequential(*parts, *pool)


def training(schedule: Schedule, rate: float, epochs: int = EPOCHS) -> TrainingSpec:
    """Return the budget of a task."""
    return TrainingSpec(
        epochs=epochs, batch_size=BATCH, min_steps=0, learning_rate=rate, schedule=schedule
    )


def our_accuracy(task: Task, network: NetworkSpec, budget: TrainingSpec, seed: int = 0) -> float:
    """Return the test accuracy, in percent, of the method ``dense`` on a single task."""
    stream = TaskStream([task])
    method = build_method("dense", {}, MethodContext(stream, network, budget, seed))
    torch.manual_seed(seed)
    method.strategy.train(stream.to_benchmark().train_stream[0], eval_streams=[])
    model = method.strategy.model.eval()
    x, y = task.tensors("test")
    return accuracy(lambda rows: model(rows, torch.zeros(len(rows), dtype=torch.int64)), x, y)


def bare_accuracy(task: Task, budget: TrainingSpec, seed: int = 0) -> float:
    """Return the test accuracy, in percent, of :func:`residual` in a loop of PyTorch alone."""
    torch.manual_seed(seed)
    network = residual()
    x, y = task.tensors("train")
    optimizer = torch.optim.Adam(network.parameters(), lr=budget.learning_rate)
    steps = budget.epochs * -(-len(y) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, budget.learning_rate, steps)
    for _ in range(budget.epochs):
        for rows in torch.randperm(len(y)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(network(x[rows]), y[rows]).backward()
            optimizer.step()
            schedule.step()
    return accuracy(network.eval(), *task.tensors("test"))


@torch.no_grad()
def accuracy(model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor) -> float:
    """Return the accuracy in percent."""
    found = torch.cat([model(rows).argmax(1) for rows in x.split(500)])
    return 100 * (found == y).double().mean().item()


def learned(variant: Variant, task: Task, rate: float) -> float:
    """Return the accuracy of a variant on a task's test rows."""
    budget = training(variant.schedule, rate)
    if variant.network is None:
        return bare_accuracy(task, budget)
    return our_accuracy(task, variant.network, budget)


def selected(variant: Variant, tasks: Sequence[Task]) -> float:
    """Return the learning rate with the best accuracy on held-out rows of the training data."""
    parts = [split(task) for task in tasks]
    scores = {r: np.mean([learned(variant, part, r) for part in parts]) for r in RATES}
    return max(scores, key=scores.__getitem__)


def size(variant: Variant) -> int:
    """Return the number of parameters of the network for one task of ten classes."""
    if variant.network is None:
        return count_parameters(residual())
    (trunk,) = cut(trunk_stages(variant.network), 1)
    whole = make_module(trunk, (3, 32, 32), 0)
    (features,) = output_shape(whole, (3, 32, 32))
    return count_parameters(whole) + (features + 1) * CLASSES


def of_steps(task: Task) -> list[Figure]:
    """Return the CPU time of an epoch of ``dense`` over that of its network in a bare loop."""
    network, budget = VARIANTS[-2].network, training("constant", 1e-3, epochs=1)
    assert network is not None
    stream = TaskStream([task])
    strategy = build_method("dense", {}, MethodContext(stream, network, budget, 0)).strategy
    experience = stream.to_benchmark().train_stream[0]
    (trunk,) = cut(trunk_stages(network), 1)
    alone = make_module(trunk, (3, 32, 32), 0)
    alone = nn.Sequential(alone, nn.Linear(network.channels[-1], CLASSES))
    optimizer = torch.optim.Adam(alone.parameters(), lr=1e-3)
    x, y = task.tensors("train")

    def bare() -> None:
        for rows in torch.randperm(len(y)).split(BATCH):
            optimizer.zero_grad()
            F.cross_entropy(alone(x[rows]), y[rows]).backward()
            optimizer.step()

    def ours() -> None:
        strategy.train(experience, eval_streams=[])

    times = side_by_side({"bare": bare, "ours": ours}, rounds=7, warmup=1, clock="cpu")
    return [quotient("an epoch of `dense` / bare loop", times["ours"], times["bare"], 1.05)]


def main() -> None:
    """Take the figures and write the page."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    stream = stream_of(10)
    found: dict[str, list[float]] = {}
    rows = []
    for variant in VARIANTS:
        rate = selected(variant, stream[:TUNED_ON])
        start = time.process_time()
        found[variant.name] = [learned(variant, task, rate) for task in stream]
        seconds = time.process_time() - start
        rows.append((variant.name, size(variant), rate, seconds))
        print(variant.name, rate, np.mean(found[variant.name]), flush=True)
    bare = found[last := VARIANTS[-1].name]
    lines = [
        "| variant | parameters | learning rate | accuracy, % | minus bare loop | CPU seconds |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for name, parameters, rate, seconds in rows:
        less = interval(a - b for a, b in zip(found[name], bare, strict=True))
        text = f"{less.mean:+.1f} ({less.low:+.1f} to {less.high:+.1f})" if name != last else ""
        lines.append(
            f"| {name} | {parameters:,} | {rate:g} | {np.mean(found[name]):.1f} | {text} "
            f"| {seconds:.0f} |"
        )
    page = Page(
        "experts", "Experts for images, one task at a time", ABOUT + "\n\n" + "\n".join(lines)
    )
    page.add("Cost of a step", of_steps(stream[0]))
    page.write()
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(["task", *found])
    writer.writerows(zip([task.name for task in stream], *found.values(), strict=True))
    write_text(page.folder / "experts.csv", table.getvalue())


if __name__ == "__main__":
    main()
