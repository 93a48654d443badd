"""The runner's own eyes in a strategy: epochs, steps and the learning curve of the task at hand."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator
from typing import Any

from cl_moe.runs.randomness import preserve_random_state

__all__ = ("CURVE_EPOCHS", "TrainingCallback", "attached", "event_counts", "events_since")

CURVE_EPOCHS = 5
"""Beta: a learning curve has a point after each of the epochs 0 to this, at most.

Veniat et al. 2021 take a point after each of the first beta steps; we take whole epochs. So a curve
tells of a task's start: ``min_steps`` may train a small task for many epochs more.
"""


class TrainingCallback:
    """An Avalanche plugin that looks on and changes nothing.

    Avalanche calls a plugin's hooks by their names, so this needs none of its classes.

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
        """Take the curve's first point: everything is set up, nothing is trained."""
        if self.epochs == 0:
            self._point()
        self._tell(self.epochs, strategy.train_epochs, self._accuracy)

    def after_training_iteration(self, strategy: Any, **_: Any) -> None:
        """Count an optimizer step."""
        self.steps += 1

    def after_training_epoch(self, strategy: Any, **_: Any) -> None:
        """Take the next point of the curve."""
        self.epochs += 1
        self._point()
        self._tell(self.epochs, strategy.train_epochs, self._accuracy)

    def after_training_exp(self, strategy: Any, **_: Any) -> None:
        """Give a task that was learned without any epoch its one point."""
        if self.epochs == 0 and not self.curve:
            self._point()

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
    """Let ``callback`` look on while the body trains ``strategy``.

    It stands just before the last plugin, Avalanche's clock: after all that act, so that it sees
    what they did.
    """
    strategy.plugins.insert(len(strategy.plugins) - 1, callback)
    try:
        yield
    finally:
        strategy.plugins.remove(callback)


def event_counts(strategy: Any) -> list[int]:
    """Return how many decisions each plugin of a strategy has told of."""
    return [len(getattr(plugin, "events", ())) for plugin in strategy.plugins]


def events_since(strategy: Any, counts: list[int]) -> list[dict[str, Any]]:
    """Return the decisions after those counted, plugin by plugin."""
    return [
        dict(event)
        for plugin, count in zip(strategy.plugins, counts, strict=True)
        for event in getattr(plugin, "events", ())[count:]
    ]
