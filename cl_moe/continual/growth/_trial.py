"""Trying a candidate on a part of the new task's training data that it is not fitted to."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.continual.growth._plan import Plan, make_head, module_of
from cl_moe.continual.relatedness.matching import match_classes
from cl_moe.continual.view import TaskView
from cl_moe.moe.heads import EvidenceHead, FeatureSet
from cl_moe.moe.network import MoENetwork
from cl_moe.seeding import generator

__all__ = (
    "Fold",
    "Tried",
    "calibrated_losses",
    "folds",
    "judged",
    "single_examples",
    "try_fold",
    "try_plan",
)

Fold = tuple[Tensor, Tensor]
"""Rows to fit, rows held out."""


class Tried(NamedTuple):
    """What a trial showed on rows held out.

    Attributes:
        accuracy: 0 to 1.
        loss: cross-entropy after calibration, in nats.
        steps: optimizer steps that the trial took.
    """

    accuracy: float
    loss: float
    steps: int


def folds(view: TaskView, parts: int, enough: int) -> list[Fold]:
    """Split a task's rows for out-of-sample accuracy.

    One split that holds out a fifth (``enough`` rows at most) serves where that many are to be had.
    A smaller task is cut into ``parts`` with the classes spread evenly, each held out in turn, so
    that every row gives evidence: to choose among many candidates on a dozen rows is a lottery.
    Where a class has one example, each row is a part of its own.

    >>> view = TaskView(0, "t", torch.zeros(9, 1), torch.arange(9) % 3, 3, 1, 1, torch.optim.Adam)
    >>> [(len(fit), view.y[held].tolist()) for fit, held in folds(view, parts=3, enough=100)]
    [(6, [0, 1, 2]), (6, [0, 1, 2]), (6, [0, 1, 2])]
    >>> [(len(fit), len(held)) for fit, held in folds(view, parts=3, enough=1)]
    [(8, 1)]
    """
    n = len(view.y)
    order = torch.randperm(n, generator=generator(view.seed, "folds", view.task))
    if n // 5 >= enough:
        return [(order[enough:], order[:enough])]
    by_class = order[view.y[order].cpu().argsort(stable=True)]
    parts = n if single_examples(view) else max(2, min(parts, n))
    part_of = torch.arange(n) % parts
    return [(by_class[part_of != i], by_class[part_of == i]) for i in range(parts)]


def single_examples(view: TaskView) -> bool:
    """Tell whether a class has but one example: held out, nothing is left to learn it from."""
    return bool((view.y.bincount(minlength=view.n_classes) == 1).any())


def try_plan(
    plan: Plan,
    view: TaskView,
    network: MoENetwork,
    split: list[Fold],
    features: Mapping[FeatureSet, Tensor],
    steps: int,
) -> Tried:
    """Try a plan on rows that it was not fitted to, fold after fold.

    Args:
        plan: the candidate.
        view: the task.
        network: the network, which is left as it is.
        split: from :func:`folds`.
        features: feature sets of all the task's rows, for heads that begin from them.
        steps: optimizer steps a fold, where the plan is trained.
    """
    logits = [
        try_fold(plan, view, network, fold, number, features, steps)
        for number, fold in enumerate(split)
    ]
    labels = view.y[torch.cat([held for _, held in split])]
    return judged(torch.cat(logits), labels, steps * len(split) * plan.train)


def try_fold(
    plan: Plan,
    view: TaskView,
    network: MoENetwork,
    fold: Fold,
    number: int,
    features: Mapping[FeatureSet, Tensor],
    steps: int,
) -> Tensor:
    """Fit a plan to a fold's rows and return its logits on the rows held out, (held, C)."""
    fit, held = fold
    part = {key: value[fit] for key, value in features.items()}
    if plan.head == "match":
        answers = FeatureSet(_source(plan), "answers")
        classes = match_classes(part[answers].log(), view.y[fit], view.n_classes)
        return features[answers][held][:, classes].clamp_min(1e-6).log()
    head = make_head(plan, network, view.task, part, view.y[fit], view.n_classes)
    head.to(view.x.device)
    if isinstance(head, EvidenceHead):
        logits: Tensor = head({key: features[key][held] for key in head.sets})
        return logits.detach()
    return _learned(plan, view, network, fold, head, steps if plan.train else 0, number)


def judged(logits: Tensor, y: Tensor, steps: int) -> Tried:
    """Judge logits at the temperature that fits them best: how loud they are says nothing."""
    accuracy = (logits.argmax(1) == y).double().mean().item()
    return Tried(accuracy, calibrated_losses(logits, y).mean().item(), steps)


def calibrated_losses(logits: Tensor, y: Tensor) -> Tensor:
    """Return the cross-entropy of each row, (N,), at the temperature with the least mean."""
    losses = [F.cross_entropy(logits * 2.0**p, y, reduction="none") for p in range(-6, 5)]
    return min(losses, key=lambda loss: loss.mean().item())


class _Trial(nn.Module):
    """The part of a candidate above the layers it keeps."""

    def __init__(self, plan: Plan, network: MoENetwork, head: nn.Module) -> None:
        super().__init__()
        depths = range(plan.kept, len(plan.starts))
        self.parts = nn.ModuleList(module_of(plan, depth, network) for depth in depths)
        self.shared = [network.moe_layers[depth].shared for depth in depths]
        self.head = head

    def forward(self, z: Tensor) -> Tensor:
        for part, shared in zip(self.parts, self.shared, strict=True):
            z = part(z) if shared is None else part(z) + shared(z)
        logits: Tensor = self.head(z.flatten(1))
        return logits


def _learned(
    plan: Plan,
    view: TaskView,
    network: MoENetwork,
    fold: Fold,
    head: nn.Module,
    steps: int,
    number: int,
) -> Tensor:
    """Train what a plan trains on the rows to fit; return logits of the rows held out."""
    fit, _ = fold
    with torch.no_grad():
        below_fit, below_held = (_run_kept(plan, view.x[rows], network) for rows in fold)
    trial = _Trial(plan, network, head).to(view.x.device)
    _fit(trial, below_fit, view.y[fit], view, steps, number)
    with torch.no_grad():
        logits: Tensor = trial(below_held)
    return logits


def _run_kept(plan: Plan, x: Tensor, network: MoENetwork) -> Tensor:
    z = network.encode(x)
    for depth in range(plan.kept):
        z, _ = network.moe_layers[depth](z, _source(plan))
    return z


def _source(plan: Plan) -> int:
    assert plan.source is not None, f"'{plan.kind}' builds on no earlier task"
    return plan.source


def _fit(trial: _Trial, z: Tensor, y: Tensor, view: TaskView, steps: int, number: int) -> None:
    trained = [p for p in trial.parameters() if p.requires_grad]
    optimizer = view.make_optimizer(trained)
    draw = generator(view.seed, "trial", view.task, number)
    rows: list[Tensor] = []
    for _ in range(steps):
        if not rows:
            rows = list(torch.randperm(len(y), generator=draw).split(view.batch_size))
        batch = rows.pop()
        optimizer.zero_grad()
        F.cross_entropy(trial(z[batch]), y[batch]).backward()
        optimizer.step()
