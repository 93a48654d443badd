"""Growth by search over the prefixes of the most related path."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_moe.continual.candidates.paths import CandidatePath, Start, fresh_path
from cl_moe.continual.candidates.sources import distinct_paths
from cl_moe.continual.candidates.trial import Split, Trial
from cl_moe.continual.decision import Candidate, Decision, Evidence
from cl_moe.continual.growth.base import GrowthPolicy
from cl_moe.continual.view import TaskView
from cl_moe.moe.network import MoENetwork
from cl_moe.seeding import generator

__all__ = ("MNTDP",)


class MNTDP(GrowthPolicy):
    """Trains all prefixes of the most related path with fresh upper layers; keeps the best.

    MNTDP-D (Veniat, Denoyer and Ranzato 2021, "Efficient continual learning with modular networks
    and task-driven priors", section 4), which :class:`ReuseOrGrow` is compared with:

    1. The most related path is the one on whose frozen features k nearest neighbours (Euclidean)
       are most accurate: neighbours from training rows, evaluated on validation rows.
    2. The candidates are its first j layers, frozen, below fresh layers and a fresh head, for j
       from all layers to none.
    3. Each is trained for all the steps of the task's budget on the training rows; the one with the
       highest accuracy on the validation rows wins; ties are broken towards more shared layers. One
       that diverged loses; if all did, it is the path of fresh layers alone.
    4. The new layers of the winner are trained and then frozen.

    MNTDP keeps the weights of the trained winner. Here the winner is trained again from the same
    fresh weights on *all* rows, including the validation rows, with the budget of every other
    method, so that the final training is equal. The log's ``steps`` are those of the candidates,
    L + 1 budgets for L layers; the final training adds one more. No data are stored.

    Args:
        neighbours: k; fewer where a task has fewer rows.
        rows: most training rows that are searched for neighbours, and most validation rows that are
            classified.
        validation_fraction: share of each class's rows that is held out, one row at least and never
            the only one. If no row can be held out, candidates are evaluated on training rows.

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
        """Return the prefix with the best accuracy on validation rows, below fresh layers."""
        sources = distinct_paths(network)
        if not sources:
            head = network.new_head(view.task, view.n_classes)
            return fresh_path(network).decision(view, network, head)
        fit, held = self._split(view)
        scores = {task: self._score(view, network, task, fit, held) for task in sources}
        paths = _prefixes(max(sources, key=lambda task: scores[task]), network)
        trials = [Trial(path, view, network, Split(fit, held)) for path in paths]
        for trial in trials:
            trial.train(view.steps)
        found = [trial.score() for trial in trials]
        finite = [i for i, score in enumerate(found) if math.isfinite(score.loss)]
        best = max(finite or [len(paths) - 1], key=lambda i: found[i].accuracy)
        tried = tuple(
            Candidate(path.kind, path.source, accuracy=one.accuracy, loss=one.loss)
            for path, one in zip(paths, found, strict=True)
        )
        head = network.new_head(view.task, view.n_classes)
        evidence = Evidence(paths[best].source, tried, best)
        steps = view.steps * len(paths)
        return paths[best].decision(view, network, head, evidence=evidence, steps=steps)

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
        """Return the accuracy of k nearest neighbours on the features of an earlier path.

        Without classes, minus the squared error of their mean target.
        """
        fit, held = fit[: self.rows], held[: self.rows]
        known, asked = (network.features(view.x[rows], task)[0] for rows in (fit, held))
        k = min(self.neighbours, len(fit))
        if not bool(known.isfinite().all() and asked.isfinite().all()):  # its training diverged
            return -math.inf
        near = torch.cdist(asked, known).topk(k, largest=False).indices
        if not view.classifies():
            error = view.y[fit][near].mean(1) - view.y[held]
            score = -float(error.double().square().mean())
            return score if math.isfinite(score) else -math.inf
        votes = F.one_hot(view.y[fit][near], view.n_classes).sum(1)
        return float((votes.argmax(1) == view.y[held]).double().mean())


def _prefixes(source: int, network: MoENetwork) -> list[CandidatePath]:
    """Return the candidates, those with more shared layers first."""
    fresh = fresh_path(network)
    paths = []
    for kept in range(len(fresh.starts), 0, -1):
        keep: list[Start] = ["keep"] * kept
        starts = (*keep, *fresh.starts[kept:])
        kind = "branch" if kept < len(starts) else "reuse"
        paths.append(CandidatePath(kind, starts, source, waiting=fresh.waiting))
    return [*paths, fresh]
