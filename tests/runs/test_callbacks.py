from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from avalanche.core import SupervisedPlugin

from cl_moe.runs.callbacks import CURVE_EPOCHS, TrainingWatch, attached


def train(watch: TrainingWatch, epochs: int) -> Any:
    strategy = SimpleNamespace(train_epochs=epochs)
    for _ in range(epochs):
        watch.before_training_epoch(strategy)
        watch.after_training_iteration(strategy)
        watch.after_training_epoch(strategy)
    watch.after_training_exp(strategy)
    return strategy


def test_every_hook_is_one_of_avalanches() -> None:
    hooks = [name for name in dir(TrainingWatch) if name.startswith(("before", "after"))]
    assert hooks
    assert all(hasattr(SupervisedPlugin, name) for name in hooks)


@pytest.mark.parametrize("epochs", [0, 1, CURVE_EPOCHS, CURVE_EPOCHS + 3])
def test_a_curve_has_a_point_before_and_after_each_epoch(epochs: int) -> None:
    values = iter(range(100))
    watch = TrainingWatch(lambda *_: None, lambda: float(next(values)))
    train(watch, epochs)
    assert watch.curve == [(k, float(k)) for k in range(min(epochs, CURVE_EPOCHS) + 1)]
    assert watch.steps == epochs


def test_an_undefined_accuracy_gives_no_point() -> None:
    watch = TrainingWatch(lambda *_: None, lambda: None)
    train(watch, 2)
    assert watch.curve == []


def test_it_tells_of_each_epoch() -> None:
    told: list[tuple[int, int, float | None]] = []
    train(TrainingWatch(lambda *at: told.append(at), lambda: 0.5), 2)
    assert told == [(0, 2, 0.5), (1, 2, 0.5), (1, 2, 0.5), (2, 2, 0.5)]


def test_it_stands_before_the_clock_and_goes_away() -> None:
    watch = TrainingWatch(lambda *_: None)
    strategy = SimpleNamespace(plugins=["method", "clock"])
    with attached(strategy, watch):
        assert strategy.plugins == ["method", watch, "clock"]
    assert strategy.plugins == ["method", "clock"]
    with contextlib.suppress(ZeroDivisionError), attached(strategy, watch):
        raise ZeroDivisionError
    assert strategy.plugins == ["method", "clock"]
