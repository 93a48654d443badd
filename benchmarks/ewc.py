"""What elastic weight consolidation adds to a step, after one task and after many."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.measuring import Page, quotient, side_by_side
from cl_moe import NetworkSpec, Task, TaskStream, TrainingSpec
from cl_moe.strategies.methods.base import MethodContext, build_method, sequential

__all__ = ("METHODS", "after", "context")

EARLIER = (1, 5, 20)

METHODS = ("plain", "Avalanche's, separate", "ours, of batch means", "ours, of single samples")
"""No penalty; ``EWCPlugin``; the methods ``ewc_avalanche`` and ``ewc``."""


def context(
    tasks: int, rows: int = 7_680, dim: int = 784, hidden: tuple[int, ...] = (256, 256)
) -> MethodContext:
    """Return n tasks of 256 random rows, then one of ``rows``, for one head."""
    source = torch.Generator().manual_seed(0)
    names = [str(label) for label in range(10)]

    def task(position: int, size: int) -> Task:
        data = (torch.rand(size, dim, generator=source), torch.arange(size) % 10)
        return Task(f"task{position}", data, (data[0][:1], data[1][:1]), names)

    stream = TaskStream([*(task(position, 256) for position in range(tasks)), task(tasks, rows)])
    training = TrainingSpec(epochs=1, batch_size=128, optimizer="sgd", min_steps=0)
    return MethodContext(stream, NetworkSpec(hidden=list(hidden), heads="shared"), training, 0)


def after(context: MethodContext, method: str) -> Callable[[], object]:
    """Return what trains an epoch of the last task, after all earlier ones and ending none.

    Args:
        context: the tasks and the network.
        method: one of :data:`METHODS`.
    """
    strategy = _strategy(context, method)
    *earlier, last = context.stream.to_benchmark().train_stream
    for experience in earlier:
        strategy.train(experience, eval_streams=[])
    plugin = strategy.plugins[0]
    if method != "plain":
        plugin.after_training_exp = lambda *_, **__: None

    def train() -> None:
        strategy.clock.train_exp_counter = len(earlier)
        strategy.train(last, eval_streams=[])

    return train


def _strategy(context: MethodContext, method: str) -> Any:
    from avalanche.training.plugins import EWCPlugin

    if method == "plain":
        return sequential(context).strategy
    if method == "Avalanche's, separate":
        return sequential(context, plugins=[EWCPlugin(1.0, mode="separate")]).strategy
    name = "ewc_avalanche" if method == "ours, of batch means" else "ewc"
    return build_method(name, {"strength": 1.0}, context).strategy


def main() -> None:
    """Take the figures and write the page."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    about = (
        "An epoch of 60 steps (784-256-256-10, batches of 128, SGD) in our loop, with the penalty "
        "of 1, 5 and 20 earlier tasks, divided by the same without a penalty. Avalanche's "
        "`EWCPlugin` in separate mode goes through one penalty a task; `ewc_avalanche` is the same "
        "penalty in one parabola (equal to 1e-6, `tests/strategies/test_ewc_avalanche.py`), and "
        "`ewc` the same with the Fisher information of single samples."
    )
    page = Page("ewc", "Elastic weight consolidation at flat cost", about)
    for earlier in EARLIER:
        given = context(earlier)
        times = side_by_side({m: after(given, m) for m in METHODS}, rounds=9, clock="cpu")
        figures = [quotient(f"{m} / plain", times[m], times["plain"]) for m in METHODS[1:]]
        page.add(f"After {earlier} task{'s' * (earlier > 1)}", figures)
    page.write()


if __name__ == "__main__":
    main()
