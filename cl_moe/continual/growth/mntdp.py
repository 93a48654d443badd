"""Growth by search over the prefixes of the most related path."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_moe.continual.candidates.heads import Heads
from cl_moe.continual.candidates.plan import (
    Plan,
    Start,
    decision_of,
    distinct_paths,
    fresh_plan,
)
from cl_moe.continual.candidates.trial import Split, Trial
from cl_moe.continual.decision import Candidate, Decision, Evidence
from cl_moe.continual.growth.base import GrowthPolicy
from cl_moe.continual.view import TaskView
from cl_moe.moe.network import MoENetwork
from cl_moe.seeding import generator

__all__ = ("MNTDP",)


class MNTDP(GrowthPolicy):
    """Trains every way of sharing the lower layers of the most related path; keeps the best.

    MNTDP-D (Veniat, Denoyer and Ranzato 2021, "Efficient continual learning with modular networks
    and task-driven priors", section 4), the peer of :class:`ReuseOrGrow`:

    1. The most related path is the one on whose frozen features k nearest neighbours (Euclidean)
       are most accurate: neighbours from training rows, judged on validation rows.
    2. The candidates are its first j layers, frozen, below fresh layers and a fresh head, for j
       from all layers to none.
    3. Each is trained for all the steps of the task's budget on the training rows; the one that is
       most accurate on the validation rows wins, the one that shares more on a tie.
    4. What the winner adds is learned and then frozen.

    MNTDP keeps the weights that the winner has then. Here the winner begins again, from the same
    fresh weights, and learns with the budget and *all* the rows that every other method of a study
    has, validation rows included: the comparison is at equal final budget. The log's ``steps`` are
    those of the candidates, L + 1 budgets for L layers; the last training adds one more. No data
    are stored.

    Args:
        neighbours: k; fewer where a task has fewer rows.
        rows: training rows that neighbours are looked for among, and validation rows that they are
            judged on, at most.
        validation_fraction: share of each class's rows that is held out, one row at least and never
            the only one. Where nothing can be held out candidates are judged on training rows.

    >>> MNTDP().freezes
    True
    """

    def __init__(
        self, neighbours: int = 15, rows: int = 1000, validation_fraction: float = 0.2
    ) -> None:
        if neighbours < 1 or rows < 1:
            raise ValueError(f"neighbours: {neighbours} and rows: {rows} must be 1 or more")
        if not 0 < validation_fraction < 1:
            raise ValueError(f"validation_fraction: {validation_fraction} is not between 0 and 1")
        self.neighbours, self.rows = neighbours, rows
        self.validation_fraction = validation_fraction

    def decide(self, view: TaskView, network: MoENetwork) -> Decision:
        """Return the prefix that does best on validation rows, under fresh layers."""
        sources = distinct_paths(network)
        if not sources:
            head = network.new_head(view.task, view.n_classes)
            return decision_of(fresh_plan(network), view, network, head)
        fit, held = self._split(view)
        scores = {task: self._score(view, network, task, fit, held) for task in sources}
        plans = _prefixes(max(sources, key=lambda task: scores[task]), network)
        heads = Heads(view, network, {})
        trials = [Trial(plan, view, network, Split(fit, held), heads) for plan in plans]
        for trial in trials:
            trial.train(view.steps)
        found = [trial.judge() for trial in trials]
        best = max(range(len(plans)), key=lambda i: found[i].accuracy)
        tried = tuple(
            Candidate(plan.kind, plan.source, accuracy=one.accuracy, loss=one.loss)
            for plan, one in zip(plans, found, strict=True)
        )
        head = network.new_head(view.task, view.n_classes)
        evidence = Evidence(plans[best].source, tried, best)
        steps = view.steps * len(plans)
        return decision_of(plans[best], view, network, head, evidence=evidence, steps=steps)

    def _split(self, view: TaskView) -> tuple[Tensor, Tensor]:
        """Return the rows to train on and those to validate on, each in random order."""
        y = view.y.cpu()
        order = torch.randperm(len(y), generator=generator(view.seed, "validation", view.task))
        held = torch.zeros(len(y), dtype=torch.bool)
        y = view.objective.strata(y)
        for label in y.unique():
            own = order[y[order] == label]
            wanted = max(1, round(self.validation_fraction * len(own)))
            held[own[: min(wanted, len(own) - 1)]] = True
        if not held.any():
            return order, order
        return order[~held[order]], order[held[order]]

    @torch.no_grad()
    def _score(
        self, view: TaskView, network: MoENetwork, task: int, fit: Tensor, held: Tensor
    ) -> float:
        """Return how well k nearest neighbours do on the features of an earlier path.

        Their accuracy; where there are no classes, minus the squared error of their mean target.
        """
        fit, held = fit[: self.rows], held[: self.rows]
        known, asked = (network.features(view.x[rows], task)[0] for rows in (fit, held))
        k = min(self.neighbours, len(fit))
        near = torch.cdist(asked, known).topk(k, largest=False).indices
        if not view.classifies():
            error = view.y[fit][near].mean(1) - view.y[held]
            return -float(error.double().square().mean())
        votes = F.one_hot(view.y[fit][near], view.n_classes).sum(1)
        return float((votes.argmax(1) == view.y[held]).double().mean())


def _prefixes(source: int, network: MoENetwork) -> list[Plan]:
    """Return the candidates, the one that shares most first."""
    fresh = fresh_plan(network)
    plans = []
    for kept in range(len(fresh.starts), 0, -1):
        keep: list[Start] = ["keep"] * kept
        starts = (*keep, *fresh.starts[kept:])
        kind = "branch" if kept < len(starts) else "reuse"
        plans.append(Plan(kind, starts, "fresh", source, waiting=fresh.waiting))
    return [*plans, fresh]
