"""Trying several candidates at once, and no longer than it takes to tell them apart."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from cl_moe.continual.growth._plan import Plan
from cl_moe.continual.growth._trial import Fold, calibrated_losses, judged, try_fold
from cl_moe.continual.growth.base import Candidate
from cl_moe.continual.view import TaskView
from cl_moe.moe.heads import FeatureSet
from cl_moe.moe.network import MoENetwork

__all__ = ("race",)

ROWS_TO_DROP = 30
"""Rows that must have been held out before a candidate may be dropped."""


def race(
    plans: list[Plan],
    view: TaskView,
    network: MoENetwork,
    split: list[Fold],
    features: Mapping[FeatureSet, Tensor],
    steps: int,
) -> tuple[list[Candidate], int]:
    """Try plans fold by fold; one that is clearly behind is not tried on the folds that are left.

    A racing algorithm (Maron & Moore 1994) on paired losses: after each fold a plan is dropped
    whose mean loss exceeds the best one's by more than the standard error of the difference on
    the same rows.

    Args:
        plans: the candidates.
        view: the task.
        network: the network, which is left as it is.
        split: from :func:`~cl_moe.continual.growth._trial.folds`.
        features: feature sets of all the task's rows.
        steps: optimizer steps a fold, where a plan is trained.

    Returns:
        For each plan what was found on the rows it was tried on, and the optimizer steps in all.
    """
    if not plans:
        return [], 0
    logits: list[list[Tensor]] = [[] for _ in plans]
    running, spent = list(range(len(plans))), 0
    for number, fold in enumerate(split):
        for i in running:
            plan = plans[i]
            logits[i].append(try_fold(plan, view, network, fold, number, features, steps))
            spent += steps * plan.train
        held = torch.cat([rows for _, rows in split[: number + 1]])
        losses = {i: calibrated_losses(torch.cat(logits[i]), view.y[held]) for i in running}
        if len(held) >= ROWS_TO_DROP and number + 1 < len(split):
            running = survivors(losses)
    found = []
    for plan, parts in zip(plans, logits, strict=True):
        held = torch.cat([rows for _, rows in split[: len(parts)]])
        result = judged(torch.cat(parts), view.y[held], 0)
        found.append(
            Candidate(
                plan.kind,
                plan.source,
                result.accuracy,
                plan.gain,
                result.loss,
                dropped=len(parts) < len(split),
            )
        )
    return found, spent


def survivors(losses: Mapping[int, Tensor]) -> list[int]:
    """Return the keys that are not clearly behind the best, given the losses on the same rows.

    >>> survivors(
    ...     {
    ...         0: torch.tensor([0.1, 0.2, 0.1, 0.2]),
    ...         1: torch.tensor([2.0, 2.1, 2.2, 2.0]),
    ...         2: torch.tensor([0.0, 0.3, 0.4, 0.0]),
    ...     }
    ... )
    [0, 2]
    """
    best = min(losses, key=lambda i: losses[i].mean().item())

    def behind(i: int) -> bool:
        difference = losses[i] - losses[best]
        error = difference.std() / len(difference) ** 0.5
        return bool(difference.mean() > error) and i != best

    return [i for i in losses if not behind(i)]
