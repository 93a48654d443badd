"""What a task costs beside its steps, with ten experts: ``make bench``."""

from __future__ import annotations

import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from benchmarks.measuring import Page, spread
from cl_moe import NetworkSpec, Task, TaskAwareMoE, TaskStream, TrainingSpec
from cl_moe.training.evaluation import evaluate_changed
from cl_moe.training.fingerprint import Fingerprints

__all__ = ("Stopwatch", "build", "measure", "small_stream")

EXPERTS = 10
ROWS = 32
ASKED = 20.0
"""Milliseconds a task, at most."""

PARTS = {
    "decide and grow": ["_before_train_dataset_adaptation"],
    "data: adapt, load": [
        "train_dataset_adaptation",
        "make_train_dataloader",
        "eval_dataset_adaptation",
        "make_eval_dataloader",
    ],
    "model and optimizer": ["check_model_and_optimizer"],
    "around evaluation: state kept and restored": ["_save_train_state", "_load_train_state"],
    "the task's end: use of experts, freezing": ["_after_training_exp", "_after_training"],
}
"""Methods of the strategy that make up a part of the cost, none inside another."""


class Stopwatch:
    """Adds up the CPU seconds of some of an object's methods, by name, while it is on."""

    def __init__(self, owner: Any, names: list[str]) -> None:
        self.owner, self.names = owner, names
        self.seconds = dict.fromkeys(names, 0.0)

    @contextmanager
    def on(self) -> Iterator[None]:
        """Time the methods in the body."""
        for name in self.names:
            setattr(self.owner, name, self._timed(name, getattr(self.owner, name)))
        try:
            yield
        finally:
            for name in self.names:
                delattr(self.owner, name)

    def _timed(self, name: str, method: Any) -> Any:
        def call(*args: Any, **kwargs: Any) -> Any:
            start = time.process_time()
            try:
                return method(*args, **kwargs)
            finally:
                self.seconds[name] += time.process_time() - start

        return call


def small_stream(tasks: int, dim: int = 784) -> TaskStream:
    """Return tasks of 32 random rows, which are trained and tested on."""
    source = torch.Generator().manual_seed(0)
    names = [str(label) for label in range(10)]

    def task(position: int) -> Task:
        data = (torch.rand(ROWS, dim, generator=source), torch.arange(ROWS) % 10)
        return Task(f"task{position}", data, data, names)

    return TaskStream([task(position) for position in range(tasks)])


def build(dim: int = 784, hidden: tuple[int, ...] = (256, 256)) -> TaskAwareMoE:
    """Return a mixture with ten experts, all on offer to every task; one step a task."""
    return TaskAwareMoE(
        shape=(dim,),
        network=NetworkSpec(hidden=list(hidden)),
        training=TrainingSpec(epochs=1, batch_size=ROWS, min_steps=0),
        gate="task",
        growth="fixed",
        experts=EXPERTS,
    )


def measure(strategy: TaskAwareMoE, stream: TaskStream) -> dict[str, list[float]]:
    """Return the CPU milliseconds of each task: in all, and part by part.

    A task is trained for one step and then evaluated, unless nothing changed, as ``cl-moe run``
    does. The same step and the same answers, taken bare, are subtracted from the whole.
    """
    benchmark = stream.to_benchmark()
    found: dict[str, list[float]] = {"in all": [], "fingerprints": [], **{p: [] for p in PARTS}}
    for task in range(len(stream)):
        train, test = benchmark.train_stream[task], benchmark.test_stream[task]
        watch = Stopwatch(strategy, [name for names in PARTS.values() for name in names])
        start = time.process_time()
        with watch.on():
            strategy.train(train, eval_streams=[])
            evaluate_changed(strategy, [test], {})
        whole = time.process_time() - start
        found["in all"].append(1e3 * (whole - _bare(strategy, stream, task)))
        for part, names in PARTS.items():
            found[part].append(1e3 * sum(watch.seconds[name] for name in names))
        start = time.process_time()
        Fingerprints(strategy).of(task)
        found["fingerprints"].append(1e3 * (time.process_time() - start))
    return found


def _bare(strategy: TaskAwareMoE, stream: TaskStream, task: int) -> float:
    """Return the CPU seconds of one step on a task and of answering it, with nothing around."""
    x, y = stream[task].tensors("train")
    network, optimizer = strategy.model.network, strategy.optimizer
    criterion = nn.CrossEntropyLoss()
    network.heads[str(task)].requires_grad_(True)
    start = time.process_time()
    optimizer.zero_grad()
    criterion(network(x, task), y).backward()
    optimizer.step()
    with torch.no_grad():
        network(x, task)
    return time.process_time() - start


def main() -> None:
    """Take the figures and write the page."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    about = (
        f"Tasks of {ROWS} rows of 784 numbers, one optimizer step each, learned and then "
        f"evaluated by a mixture of {EXPERTS} experts (784-256-256, 2.7 million parameters; gate "
        "`task`, growth `fixed`, Adam). CPU milliseconds a task beside the step and the answers "
        "themselves, which are taken bare. The parts do not make up the whole: loops, hooks and "
        "random states are in none. A fingerprint reads every parameter that the task's answers "
        "depend on, here all, to tell whether they may have changed."
    )
    page = Page("small_tasks", "What a task costs beside its steps", about)
    measure(build(), small_stream(5))
    found = measure(build(), small_stream(60))
    page.add("Fixed cost", [spread("in all", found.pop("in all"), ASKED, "ms")])
    page.add("Of which", [spread(part, values, unit="ms") for part, values in found.items()])
    page.write()


if __name__ == "__main__":
    main()
