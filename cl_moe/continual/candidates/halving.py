"""Training several candidates no longer than it takes to tell them apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from cl_moe.continual.candidates.trial import Trial, Tried

__all__ = ("CurvePoint", "forecast", "hopeless", "race")

HOPE = 2.0
"""A candidate in training may be expected to learn this times as fast as it has."""
SINCE = 3
"""The pace of a candidate is that since it had taken its steps so far over this number."""
PLATEAU = 0.9
"""Above this part of a guess's loss a candidate has hardly begun to learn."""


class CurvePoint(NamedTuple):
    """What a candidate has shown by then.

    Attributes:
        steps: optimizer steps that it has taken.
        loss: the least of its losses so far.
    """

    steps: int
    loss: float


def race(
    trials: Sequence[Trial],
    lap: int,
    until: int,
    to_beat: Sequence[float],
    guess: float = math.inf,
    patient: bool = False,
) -> tuple[Trial, dict[int, Tried]]:
    """Train candidates lap by lap; after each lap the worse half drops out.

    Successive halving (Jamieson & Talwalkar 2016, algorithm 1). The last one goes on to ``until``
    steps, and what it has learned can be kept: only the steps of those that drop out are lost. It
    is looked at every half lap, later each time its steps are a third more, and given up where it
    is :func:`hopeless`.

    Args:
        trials: the candidates.
        lap: optimizer steps after which the worse half drops out.
        until: steps that the last one has taken at the end.
        to_beat: for each candidate, the loss that it must get below to be chosen.
        guess: the loss of a guess: the entropy of the labels.
        patient: whether any plateau is waited out, see :func:`hopeless`.

    Returns:
        The last one, and what each showed when it was last looked at, by its place in ``trials``.
    """
    seen: dict[int, Tried] = {}
    curves: list[list[CurvePoint]] = [[] for _ in trials]
    running = list(range(len(trials)))
    steps = 0
    while steps < until:
        stride = lap if len(running) > 1 else max(1, lap // 2, steps // 3)
        steps = min(steps + stride, until)
        for i in running:
            trials[i].train(steps)
            seen[i] = trials[i].judge()
            least = min([seen[i].loss, *(point.loss for point in curves[i][-1:])])
            curves[i].append(CurvePoint(steps, least))
        running.sort(key=lambda i: seen[i].loss)
        running = running[: max(1, len(running) // 2)]
        first = running[0]
        if len(running) == 1 and hopeless(curves[first], until, to_beat[first], guess, patient):
            break
    return trials[running[0]], seen


def hopeless(
    curve: Sequence[CurvePoint],
    until: int,
    to_beat: float,
    guess: float = math.inf,
    patient: bool = False,
) -> bool:
    """Tell whether a candidate cannot be expected to get below what it must beat.

    It is expected to go on as it has since a third of its steps so far (:func:`forecast`). On the
    plateau that learning may begin with, that pace tells nothing: where what there is to beat is
    little better than a guess too, or the trial is worth waiting for, it is waited out.

    Args:
        curve: the looks at it so far.
        until: steps that it may take.
        to_beat: that loss; none is below zero.
        guess: the loss of a guess.
        patient: whether a plateau is waited out whatever there is to beat.

    >>> flat = [CurvePoint(10, 0.5), CurvePoint(20, 0.49), CurvePoint(30, 0.49)]
    >>> hopeless(flat[:2], 100, to_beat=0.3), hopeless(flat, 100, to_beat=0.3)
    (False, True)
    >>> hopeless(flat, 100, to_beat=0.48, guess=0.5)
    False
    """
    now = curve[-1]
    earlier = [point for point in curve if SINCE * point.steps <= now.steps]
    if to_beat <= 0 or not earlier:
        return to_beat <= 0
    plateau = PLATEAU * guess
    if earlier[-1].loss > plateau and (patient or to_beat > plateau):
        return False
    return forecast(earlier[-1], now, until) >= to_beat


def forecast(before: CurvePoint, now: CurvePoint, until: int) -> float:
    """Return the loss that a candidate might have after ``until`` steps, at its best.

    Learning curves are close to straight lines in the logarithms of steps and loss (Hestness et al.
    2017), if anything flatter later: so the line is drawn on from two looks, twice as steep
    (``HOPE``), for the benefit of the doubt.

    Args:
        before: an earlier look.
        now: the last one.
        until: steps to look ahead to.

    >>> round(forecast(CurvePoint(10, 1.0), CurvePoint(20, 0.9), until=40), 3)  # 0.9 * 0.9 ** 2
    0.729
    """
    (s, loss), (t, loss_now) = before, now
    if t >= until or min(loss, loss_now) <= 0:
        return loss_now
    slope = math.log(loss_now / loss) / math.log(t / s)
    return loss_now * math.exp(HOPE * slope * math.log(until / t))
