"""Training several candidates no longer than it takes to tell them apart."""

from __future__ import annotations

import math
from collections.abc import Sequence

from cl_moe.continual.growth._trial import Trial, Tried

__all__ = ("forecast", "race")

HOPE = 2.0
"""A candidate in training may be expected to learn this times as fast as it just has."""
BEGUN = 0.9
"""Above this part of a guess's loss a candidate has hardly begun: its pace tells nothing."""


def race(
    trials: Sequence[Trial], lap: int, until: int, to_beat: float, guess: float = math.inf
) -> tuple[Trial, dict[int, Tried]]:
    """Train candidates lap by lap; after each lap the worse half drops out.

    Successive halving (Jamieson & Talwalkar 2016, algorithm 1). The last one goes on to ``until``
    steps, and what it has learned can be kept: only the steps of those that drop out are lost. It
    is looked at each time its steps have doubled, and given up where it has no hope of reaching
    what is to be had without training (:func:`forecast`), once it has left the plateau that
    learning begins with (``BEGUN``).

    Args:
        trials: the candidates.
        lap: optimizer steps between two looks at the rows held out.
        until: steps that the last one has taken at the end.
        to_beat: loss of the best answer that needs no training.
        guess: the loss of a guess: the entropy of the labels.

    Returns:
        The last one, and what each showed when it was last looked at, by its place in ``trials``.
    """
    seen: dict[int, Tried] = {}
    running = list(range(len(trials)))
    steps = 0
    while len(running) > 1:
        steps = min(steps + lap, until)
        for i in running:
            trials[i].train(steps)
            seen[i] = trials[i].judge()
        running.sort(key=lambda i: seen[i].loss)
        running = running[: len(running) // 2]
    (last,) = running
    before = (steps, seen[last].loss if steps else math.inf)
    while steps < until:
        steps = min(2 * steps or lap, until)
        trials[last].train(steps)
        seen[last] = trials[last].judge()
        now = (steps, seen[last].loss)
        begun = max(before[1], now[1]) < BEGUN * guess
        if begun and forecast(before, now, until) > to_beat:
            break
        before = now
    return trials[last], seen


def forecast(before: tuple[int, float], now: tuple[int, float], until: int) -> float:
    """Return the loss that a candidate might have after ``until`` steps, at its best.

    Learning curves are close to straight lines in the logarithms of steps and loss (Hestness et al.
    2017), if anything flatter later: so the line is drawn on from the last two looks, twice as
    steep (``HOPE``), for the benefit of the doubt.

    Args:
        before: steps and loss at an earlier look.
        now: steps and loss at the last one.
        until: steps to look ahead to.

    >>> round(forecast((10, 1.0), (20, 0.9), until=40), 3)  # 0.9 * 0.9 ** 2
    0.729
    """
    (s, loss), (t, loss_now) = before, now
    if t >= until or min(loss, loss_now) <= 0:
        return loss_now
    slope = math.log(loss_now / loss) / math.log(t / s)
    return loss_now * math.exp(HOPE * slope * math.log(until / t))
