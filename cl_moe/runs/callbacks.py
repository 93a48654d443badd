"""Callback that records epochs, steps and the learning curve of the current task."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from cl_moe.runs.randomness import preserve_random_state
from cl_moe.state import State

__all__ = ("CURVE_EPOCHS", "TrainingCallback", "attached", "event_counts", "events_since")

CURVE_EPOCHS = 5
"""Beta: a learning curve has a point after each of the epochs 0 to this, at most.

Veniat et al. 2021 take a point after each of the first beta steps; we take whole epochs. So a curve
covers the start of a task: ``min_steps`` may train a small task for many more epochs.
"""


STATE = ("curve", "epochs", "steps", "seconds", "cpu_seconds", "_accuracy")


class TrainingCallback:
    """An Avalanche plugin that records progress and changes nothing.

    Avalanche calls hooks by name, so the plugin needs no base class.

    Args:
        tell: called with (epochs done, epochs in all, last accuracy or None).
        measure: returns the test accuracy (0..1) of the task being learned, or None where it is
            undefined; called after epochs 0 to :data:`CURVE_EPOCHS`. None: no learning curve.
    """

    def __init__(
        self,
        tell: Callable[[int, int, float | None], None],
        measure: Callable[[], float | None] | None = None,
    ) -> None:
        self._tell = tell
        self._measure = measure
        self.curve: list[tuple[int, float]] = []
        self.epochs = 0
        self.steps = 0
        self.seconds = 0.0
        self.cpu_seconds = 0.0
        self._accuracy: float | None = None

    def before_training_epoch(self, strategy: Any, **_: Any) -> None:
        """Record the curve's first point, before any training."""
        if self.epochs == 0:
            self._point()
        self._tell(self.epochs, strategy.train_epochs, self._accuracy)

    def after_training_iteration(self, strategy: Any, **_: Any) -> None:
        """Count an optimizer step."""
        self.steps += 1

    def after_training_epoch(self, strategy: Any, **_: Any) -> None:
        """Record the next point of the curve."""
        self.epochs += 1
        self._point()
        self._tell(self.epochs, strategy.train_epochs, self._accuracy)

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Record the only point of a task that was learned without an epoch."""
        if self.epochs == 0 and not self.curve:
            self._point()

    def state(self) -> State:
        """Return what was counted and recorded of the current task."""
        return State({name: getattr(self, name) for name in STATE})

    def restore(self, state: State) -> None:
        """Restore the result of :meth:`state`."""
        vars(self).update(state.plain)
        self.curve = [(epoch, value) for epoch, value in self.curve]

    def _point(self) -> None:
        if self._measure is None or self.epochs > CURVE_EPOCHS:
            return
        start, cpu_start = time.perf_counter(), time.process_time()
        with preserve_random_state():
            accuracy = self._measure()
        self.seconds += time.perf_counter() - start
        self.cpu_seconds += time.process_time() - cpu_start
        if accuracy is not None:
            self._accuracy = accuracy
            self.curve.append((self.epochs, accuracy))


@contextlib.contextmanager
def attached(strategy: Any, callback: TrainingCallback) -> Iterator[None]:
    """Attach ``callback`` to ``strategy`` while the body trains it.

    It is inserted just before the last plugin, Avalanche's clock, and so after all plugins that
    act.
    """
    strategy.plugins.insert(len(strategy.plugins) - 1, callback)
    try:
        yield
    finally:
        strategy.plugins.remove(callback)


def event_counts(strategy: Any) -> list[int]:
    """Return the number of logged decisions of each plugin of a strategy."""
    return [len(getattr(plugin, "events", ())) for plugin in strategy.plugins]


def events_since(strategy: Any, counts: list[int]) -> list[dict[str, Any]]:
    """Return the decisions after those counted, plugin by plugin."""
    return [
        dict(event)
        for plugin, count in zip(strategy.plugins, counts, strict=True)
        for event in getattr(plugin, "events", ())[count:]
    ]
