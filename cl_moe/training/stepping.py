"""Checkpoints between the optimizer steps of a task, and continuing from one."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Callable, Iterator
from typing import Any

from cl_moe.seeding import random_state, set_random_state
from cl_moe.state import State, merged, part_of
from cl_moe.training.resume import restore_training, training_state
from cl_moe.training.strategy import Strategy

__all__ = ("Stepping", "stepped")


class Stepping:
    """Calls back every N optimizer steps, and starts in the middle of a task.

    The order of an epoch's rows is drawn again from the random state at the start of the epoch, and
    the batches before the checkpoint are skipped.

    Args:
        every: optimizer steps between two calls of ``save``; None: it is never called.
        save: called with the state of the training.
        start: such a state to continue from; None to start with the first step.
    """

    def __init__(
        self, every: int | None, save: Callable[[State], None], start: State | None = None
    ) -> None:
        self._every, self._save, self._start = every, save, start
        self._since = 0
        self._epoch = self.first_epoch = 0 if start is None else int(_place(start)["epoch"])

    def loader(self, strategy: Strategy) -> _Watched:
        """Return the loader of the epoch that starts."""
        loader, epoch, start = strategy.dataloader, self._epoch, self._start
        self._epoch, self._start = epoch + 1, None
        return _Watched(loader, lambda: self._batches(strategy, loader, epoch, start))

    def _batches(
        self, strategy: Strategy, loader: Any, epoch: int, start: State | None
    ) -> Iterator[Any]:
        """Yield the batches of an epoch, from the checkpoint on."""
        skipped, random = 0, random_state()
        if start is not None:
            skipped, random = int(_place(start)["batches"]), _place(start)["random"]
            set_random_state(random)
        batches = iter(loader)
        for _ in range(skipped):
            next(batches)
        if start is not None:
            restore_training(strategy, part_of(start, "training"))
        for number in itertools.count(skipped):
            if self._since == self._every:  # before the next batch draws random numbers
                self._since = 0
                place = {"epoch": epoch, "batches": number, "random": random}
                own = {"training": training_state(strategy), "place": State(place)}
                self._save(merged(own))
            self._since += 1
            try:
                yield next(batches)
            except StopIteration:
                return


class _Watched:
    """A loader with another iteration."""

    def __init__(self, loader: Any, batches: Callable[[], Iterator[Any]]) -> None:
        self._loader, self._batches = loader, batches

    def __len__(self) -> int:
        return len(self._loader)

    def __iter__(self) -> Iterator[Any]:
        return self._batches()


@contextlib.contextmanager
def stepped(strategy: Strategy, stepping: Stepping | None) -> Iterator[None]:
    """Use ``stepping`` while the body trains a strategy on one task."""
    strategy.stepping = stepping
    try:
        yield
    finally:
        strategy.stepping = None


def _place(state: State) -> Any:
    return state.plain["place"]
