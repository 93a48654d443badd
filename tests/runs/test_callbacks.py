from __future__ import annotations

import contextlib
from types import SimpleNamespace
from typing import Any

import pytest
from avalanche.core import SupervisedPlugin

from cl_moe.runs.callbacks import CURVE_EPOCHS, TrainingCallback, attached


def train(callback: TrainingCallback, epochs: int) -> Any:
    strategy = SimpleNamespace(train_epochs=epochs)
    for _ in range(epochs):
        callback.before_training_epoch(strategy)
        callback.after_training_iteration(strategy)
        callback.after_training_epoch(strategy)
    callback.after_training_exp(strategy)
    return strategy


def test_every_hook_is_one_of_avalanches() -> None:
    hooks = [name for name in dir(TrainingCallback) if name.startswith(("before", "after"))]
    assert hooks
    assert all(hasattr(SupervisedPlugin, name) for name in hooks)


@pytest.mark.parametrize("epochs", [0, 1, CURVE_EPOCHS, CURVE_EPOCHS + 3])
def test_a_curve_has_a_point_before_and_after_each_epoch(epochs: int) -> None:
    values = iter(range(100))
    callback = TrainingCallback(lambda *_: None, lambda: float(next(values)))
    train(callback, epochs)
    assert callback.curve == [(k, float(k)) for k in range(min(epochs, CURVE_EPOCHS) + 1)]
    assert callback.steps == epochs


def test_an_undefined_accuracy_gives_no_point() -> None:
    callback = TrainingCallback(lambda *_: None, lambda: None)
    train(callback, 2)
    assert callback.curve == []


def test_it_tells_of_each_epoch() -> None:
    told: list[tuple[int, int, float | None]] = []
    train(TrainingCallback(lambda *at: told.append(at), lambda: 0.5), 2)
    assert told == [(0, 2, 0.5), (1, 2, 0.5), (1, 2, 0.5), (2, 2, 0.5)]


def test_it_stands_before_the_clock_and_goes_away() -> None:
    callback = TrainingCallback(lambda *_: None)
    strategy = SimpleNamespace(plugins=["method", "clock"])
    with attached(strategy, callback):
        assert strategy.plugins == ["method", callback, "clock"]
    assert strategy.plugins == ["method", "clock"]
    with contextlib.suppress(ZeroDivisionError), attached(strategy, callback):
        raise ZeroDivisionError
    assert strategy.plugins == ["method", "clock"]
