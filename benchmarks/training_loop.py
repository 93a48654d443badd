"""The training loop against a bare PyTorch loop over the same tensors: ``make bench``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from itertools import pairwise
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from benchmarks.measuring import Page, quotient, side_by_side
from cl_moe import NetworkSpec, Task, TaskStream, TensorBatches, TrainingSpec
from cl_moe.strategies.methods.base import MethodContext, build_method

__all__ = ("Bare", "Setting", "avalanche", "mlp", "ours", "variants", "watched")

RATE = 0.01
ASKED = {128: 1.10, 32: 1.25}
"""Limits as multiples of the bare loop, by batch size."""


class Setting(NamedTuple):
    """Data and sizes that all variants share."""

    x: Tensor
    y: Tensor
    tests: int
    batch_size: int
    hidden: list[int]

    @classmethod
    def random(
        cls,
        batch_size: int,
        rows: int = 60_000,
        dim: int = 784,
        tests: int = 10_000,
        hidden: tuple[int, ...] = (256, 256),
    ) -> Setting:
        """Return random rows of 10 classes, the last ``tests`` of which are tested on."""
        source = torch.Generator().manual_seed(0)
        x = torch.rand(rows + tests, dim, generator=source)
        y = torch.randint(10, (rows + tests,), generator=source)
        return cls(x, y, tests, batch_size, list(hidden))

    @property
    def train(self) -> tuple[Tensor, Tensor]:
        """What is learned."""
        return self.x[: -self.tests], self.y[: -self.tests]

    @property
    def test(self) -> tuple[Tensor, Tensor]:
        """What is tested on."""
        return self.x[-self.tests :], self.y[-self.tests :]

    def stream(self) -> TaskStream:
        """Return the rows as a stream of one task."""
        names = [str(label) for label in range(10)]
        return TaskStream([Task("random", self.train, self.test, names)])


def mlp(setting: Setting) -> nn.Sequential:
    """Return the network that all variants train."""
    sizes = [setting.x.shape[1], *setting.hidden]
    layers: list[nn.Module] = []
    for wide, narrow in pairwise(sizes):
        layers += [nn.Linear(wide, narrow), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], 10))


class Bare:
    """The loop that one would write by hand; calling it trains an epoch.

    Args:
        setting: data and sizes.
        records: sum up loss and right answers of the batches.
        tests: count loss and right answers on the test rows before and after the epoch.
    """

    def __init__(self, setting: Setting, records: bool = False, tests: bool = False) -> None:
        self.setting, self.records, self.tests = setting, records, tests
        self.model = mlp(setting)
        self.optimizer = torch.optim.SGD(self.model.parameters(), lr=RATE)
        self.criterion = nn.CrossEntropyLoss()
        self.accuracy = self.loss = 0.0

    def __call__(self) -> None:
        """Train an epoch."""
        if self.tests:
            self.test()
        x, y = self.setting.train
        right = torch.zeros((), dtype=torch.int64)
        total = torch.zeros(())
        for rows in torch.randperm(len(y)).split(self.setting.batch_size):
            x_B, y_B = x[rows], y[rows]
            self.optimizer.zero_grad()
            logits = self.model(x_B)
            loss = self.criterion(logits, y_B)
            loss.backward()
            self.optimizer.step()
            if self.records:
                right += (logits.argmax(1) == y_B).sum()
                total += loss.detach() * len(y_B)
        if self.records:
            self.accuracy, self.loss = float(right) / len(y), float(total) / len(y)
        if self.tests:
            self.test()

    @torch.no_grad()
    def test(self) -> None:
        """Note accuracy and loss on the test rows."""
        x, y = self.setting.test
        right, total = 0, 0.0
        for x_B, y_B in zip(x.split(512), y.split(512), strict=True):
            logits = self.model(x_B)
            right += int((logits.argmax(1) == y_B).sum())
            total += float(self.criterion(logits, y_B)) * len(y_B)
        self.accuracy, self.loss = right / len(y), total / len(y)


def avalanche(setting: Setting, quick: bool, records: bool = True) -> Any:
    """Return Avalanche's Naive, with batches from tensors if it is to be ``quick``."""
    from avalanche.training import Naive

    class QuickNaive(TensorBatches, Naive):  # type: ignore[misc]
        """Naive with batches from tensors."""

    model = mlp(setting)
    return (QuickNaive if quick else Naive)(
        model=model,
        optimizer=torch.optim.SGD(model.parameters(), lr=RATE),
        criterion=nn.CrossEntropyLoss(),
        train_mb_size=setting.batch_size,
        train_epochs=1,
        evaluator=_evaluator(records),
    )


def ours(setting: Setting, method: str = "dense", records: bool = False) -> Any:
    """Return a method's strategy, with Avalanche's metrics of the batches if it ``records``."""
    from cl_moe.training.strategy import Strategy

    training = TrainingSpec(
        epochs=1,
        batch_size=setting.batch_size,
        learning_rate=RATE,
        optimizer="sgd",
        min_steps=0,
    )
    network = NetworkSpec(hidden=setting.hidden)
    context = MethodContext(setting.stream(), network, training, seed=0)
    strategy = build_method(method, {}, context).strategy
    if not records:
        return strategy
    return Strategy(model=strategy.model, training=training, evaluator=_evaluator(records))


def _evaluator(records: bool) -> Any:
    from avalanche.evaluation.metrics import accuracy_metrics, loss_metrics
    from avalanche.logging import BaseLogger
    from avalanche.training.plugins import EvaluationPlugin

    metrics = [accuracy_metrics(epoch=True), loss_metrics(epoch=True)] if records else []
    return EvaluationPlugin(*metrics, loggers=[BaseLogger()])


def trained(strategy: Any, setting: Setting) -> Callable[[], object]:
    """Return what trains a strategy for an epoch."""
    experience = setting.stream().to_benchmark().train_stream[0]
    return lambda: strategy.train(experience, eval_streams=[])


def watched(strategy: Any, setting: Setting) -> Callable[[], object]:
    """Return what trains a strategy as runs do: tested before and after an epoch, steps counted."""
    from cl_moe.runs.callbacks import TrainingCallback, attached
    from cl_moe.training.evaluation import evaluate

    benchmark = setting.stream().to_benchmark()

    def train() -> None:
        def measure() -> float:
            return evaluate(strategy, [benchmark.test_stream[0]])[0].accuracy

        with attached(strategy, TrainingCallback(lambda *_: None, measure)):
            strategy.train(benchmark.train_stream[0], eval_streams=[])

    return train


def variants(setting: Setting) -> dict[str, Callable[[], object]]:
    """Return what is timed, by name; each call is an epoch."""
    return {
        "bare": Bare(setting),
        "bare, batches recorded": Bare(setting, records=True),
        "bare, tested": Bare(setting, tests=True),
        "ours": trained(ours(setting), setting),
        "ours, batches recorded": trained(ours(setting, records=True), setting),
        "ours, tested": watched(ours(setting), setting),
        "ours, a mixture of one expert": trained(ours(setting, "moe"), setting),
        "Naive, batches recorded": trained(avalanche(setting, quick=False), setting),
        "Naive with TensorBatches, batches recorded": trained(
            avalanche(setting, quick=True), setting
        ),
    }


def main() -> None:
    """Take the figures and write the page."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    about = (
        "An epoch of 60,000 x 784 random rows, a perceptron 784-256-256-10, SGD, against a loop "
        "over the same tensors that one would write by hand. *Batches recorded*: mean loss and "
        "accuracy of the epoch's batches (ours and Naive: Avalanche's metrics; bare: two sums). "
        "*Tested*: loss and accuracy on 10,000 other rows before and after the epoch, as `cl-moe "
        "run` records them. Each is divided by the bare loop that records the same."
    )
    page = Page("training_loop", "The training loop", about)
    for batch_size, asked in ASKED.items():
        times = side_by_side(variants(Setting.random(batch_size)), rounds=9, warmup=1, clock="cpu")

        def over(name: str, base: str, at_most: float | None = None, times: Any = times) -> Any:
            return quotient(f"{name} / {base}", times[name], times[base], at_most)

        figures = [
            over("ours, tested", "bare, tested", asked),
            over("ours, batches recorded", "bare, batches recorded", asked),
            over("ours", "bare", asked),
            over("ours, a mixture of one expert", "ours"),
            over("Naive, batches recorded", "bare, batches recorded"),
            over("Naive with TensorBatches, batches recorded", "bare, batches recorded"),
        ]
        page.add(f"Batches of {batch_size}", figures)
    page.write()


if __name__ == "__main__":
    main()
