"""Training several candidates no longer than it takes to tell them apart."""

from __future__ import annotations

from collections.abc import Sequence

from cl_moe.continual.growth._trial import Trial, Tried

__all__ = ("race",)

HOPELESS = 2.0
"""A candidate is given up half-way through its trial with more than this times the loss to beat."""


def race(
    trials: Sequence[Trial], lap: int, until: int, to_beat: float
) -> tuple[Trial, dict[int, Tried]]:
    """Train candidates lap by lap; after each lap the worse half drops out.

    Successive halving (Jamieson & Talwalkar 2016, algorithm 1). The last one goes on to ``until``
    steps, and what it has learned can be kept: only the steps of those that drop out are lost. One
    that is far from what is to be had without training is stopped half-way.

    Args:
        trials: the candidates.
        lap: optimizer steps between two looks at the rows held out.
        until: steps that the last one has taken at the end.
        to_beat: loss of the best answer that needs no training.

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
    for goal in (max(steps, until // 2), until):
        trials[last].train(goal)
        seen[last] = trials[last].judge()
        if seen[last].loss > HOPELESS * to_beat:
            break
    return trials[last], seen
