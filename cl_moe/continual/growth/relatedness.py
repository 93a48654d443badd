"""Growth by relatedness: take over, reuse, average, copy or grow, whichever holds up best."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

from cl_moe.continual.growth._budget import full_layers, least_important
from cl_moe.continual.growth._plan import Plan, Start, decision_of, distinct_paths, fresh_plan
from cl_moe.continual.growth._race import race
from cl_moe.continual.growth._takeover import take_over_plans
from cl_moe.continual.growth._trial import folds, single_examples
from cl_moe.continual.growth.base import Candidate, GrowthDecision, GrowthPolicy
from cl_moe.continual.relatedness.scores import SCORES
from cl_moe.continual.view import TaskView
from cl_moe.moe.gates.evidence import EvidenceGate
from cl_moe.moe.heads import FeatureSet
from cl_moe.moe.network import RAW, MoENetwork
from cl_moe.seeding import generator

__all__ = ("Relatedness",)

Kind = Literal["take over", "average", "reuse", "branch", "copy", "fresh"]

SCORE_ROWS = 512
"""Rows of the new task that scores are computed on."""
HOPELESS = -0.1
"""A copy from a source whose gain is lower learns like a fresh expert; it is not tried."""


class Relatedness(GrowthPolicy):
    """Builds on what is most related, where that holds up on examples held out.

    Earlier paths are ranked by gain: a closed-form score on the path's features minus the same
    score on the raw input. Only the best few are tried, each on rows it was not fitted to:

    * *take over*: an earlier task's answers as they are, classes matched one to one; nothing is
      trained.
    * *average*: closed-form answers on earlier paths and the raw input, weighed by evidence
      (with the evidence gate, for tasks of up to ``average_up_to`` examples).
    * *reuse*: an earlier path, frozen, under a new head.
    * *branch*: its lower layers frozen, its upper ones copied and trained (with several layers).
    * *copy*: all its experts copied and trained.
    * *fresh*: new experts.
    * *reassign*: with ``max_experts`` in use, instead of copying: among the most related paths, the
      one whose experts matter least to earlier tasks is retrained in place, under protection.

    The default policy, and this project's own; ranking by gain and the trial of paths follow MNTDP
    (Veniat et al. 2021) in spirit.

    Args:
        score: closed-form score: ``ncm``, ``logme``, ``ridge`` or ``knn``.
        criterion: what candidates are compared by on rows held out: calibrated cross-entropy
            (``loss``, nats) or ``accuracy`` (0 to 1).
        candidates: earlier paths that are tried, best first.
        trial_share: share of the task's optimizer steps that each trained candidate gets a fold.
        trial_steps: steps it gets at least, where the task has as many: a small task's candidates
            are trained to the end, or those that start well would always win.
        parts: folds that a small task is cut into.
        margin: by how much growing must beat not growing, in the unit of the criterion.
        max_experts: experts a layer may have in use; None for no limit.
        reassign_margin: by how much retraining an expert in use must beat leaving it alone.
        protect: what shields earlier tasks while an expert is retrained: ``distillation`` on the
            new inputs, ``ewc`` on that expert alone, or ``none``.
        protect_strength: its factor in the loss.
        average_up_to: most examples for which averages of closed-form answers are tried.
        kinds: candidates that are considered, of those above; where none of them is to be had the
            task grows fresh experts, or with ``max_experts`` in use is given some.
    """

    def __init__(
        self,
        score: Literal["ncm", "logme", "ridge", "knn"] = "ncm",
        criterion: Literal["loss", "accuracy"] = "loss",
        candidates: int = 3,
        trial_share: float = 0.3,
        trial_steps: int = 150,
        parts: int = 3,
        margin: float = 0.005,
        max_experts: int | None = None,
        reassign_margin: float = 0.05,
        protect: Literal["distillation", "ewc", "none"] = "distillation",
        protect_strength: float = 1.0,
        average_up_to: int = 512,
        kinds: Sequence[Kind] = get_args(Kind),
    ) -> None:
        if max_experts is not None and max_experts < 1:
            raise ValueError(f"max_experts: {max_experts} must be 1 or more, or left out")
        if not 0 < trial_share <= 1:
            raise ValueError(f"trial_share: {trial_share} must be above 0 and at most 1")
        unknown = set(kinds).difference(get_args(Kind))
        if unknown:
            raise ValueError(f"kinds: {sorted(unknown)} must be among {get_args(Kind)}")
        self.kinds = (*kinds, "reassign")
        self.score, self.criterion = score, criterion
        self.candidates, self.parts = candidates, parts
        self.trial_share, self.trial_steps = trial_share, trial_steps
        self.margin, self.reassign_margin = margin, reassign_margin
        self.max_experts, self.average_up_to = max_experts, average_up_to
        self.protect, self.protect_strength = protect, protect_strength
        self.worth: dict[int, float] = {}
        self.borrowed: set[int] = set()

    def decide(self, view: TaskView, network: MoENetwork) -> GrowthDecision:
        """Return the candidate that does best on rows held out; ties go to the cheaper one."""
        sources = distinct_paths(network)
        if not sources:
            return decision_of(fresh_plan(network), view, network, {})
        gains = self._gains(view, network, sources)
        ranked = sorted(sources, key=lambda task: -gains[task])
        possible = self._plans(view, network, ranked, gains)
        plans = [plan for plan in possible if plan.kind in self.kinds] or possible[-1:]
        features = _features(plans, view, network)
        split = folds(view, self.parts, enough=min(500, max(100, len(view.y) // 5)))
        steps = max(min(view.steps, self.trial_steps), round(self.trial_share * view.steps))
        unjudged = [plan for plan in plans if plan.train and single_examples(view)]
        plans = [plan for plan in plans if plan not in unjudged]
        tried, spent = race(plans, view, network, split, features, steps)
        plans += unjudged
        tried += [Candidate(plan.kind, plan.source, gain=plan.gain) for plan in unjudged]
        rows = sum(len(held) for _, held in split)
        prices = [_price(plan, len(network.tasks), view.n_classes) / rows for plan in plans]
        best = self._best(plans, tried, prices)
        if plans[best].kind == "take over":
            self.borrowed.add(view.task)
        self.worth[view.task] = max(0.0, (tried[best].accuracy or 0.0) - 1 / view.n_classes)
        return decision_of(plans[best], view, network, features, tuple(tried), best, spent)

    def _best(self, plans: list[Plan], tried: list[Candidate], prices: list[float]) -> int:
        """Return the plan that did best on rows held out, less what it must win by.

        Cross-entropy tells candidates apart on a few dozen rows where accuracy is a lottery. A plan
        that could not be tried counts as half right: another must be clearly good to beat it.
        """
        by_loss = self.criterion == "loss" and all(c.loss is not None for c in tried)

        def value(i: int) -> float:
            plan, found = plans[i], tried[i]
            accuracy = 0.5 if found.accuracy is None else found.accuracy
            merit = -(found.loss or 0.0) - prices[i] if by_loss else accuracy
            reassigns = plan.kind == "reassign"
            return merit - self.margin * plan.grows - self.reassign_margin * reassigns

        return max((i for i, c in enumerate(tried) if not c.dropped), key=value)

    def _gains(self, view: TaskView, network: MoENetwork, sources: list[int]) -> dict[int, float]:
        """Score each earlier path's features against the raw input, on the same rows."""
        rows = _score_rows(view)
        x, y = view.x[rows], view.y[rows]
        score = SCORES[self.score]
        with torch.no_grad():
            raw = score(network.encode(x).flatten(1), y)
            return {task: score(network.features(x, task)[0], y) - raw for task in sources}

    def _plans(
        self, view: TaskView, network: MoENetwork, ranked: list[int], gains: Mapping[int, float]
    ) -> list[Plan]:
        """Return what is worth trying, cheapest first: on a tie the first one wins."""
        depth = len(network.layers)
        keep = _all("keep", depth)
        few = ranked[: self.candidates]
        plans = take_over_plans(
            view,
            network,
            {task: gains[task] for task in few},
            self.borrowed,
            _score_rows(view),
            self.parts,
            limit=self.candidates,
        )
        if isinstance(network.moe_layers[-1].gate, EvidenceGate) and (
            len(view.y) <= self.average_up_to and not single_examples(view)
        ):
            sets = [RAW, *(FeatureSet(t, p) for t in ranked[:8] for p in ("features", "both"))]
            plans.append(Plan("average", (), "evidence", sets=tuple(sets), train=False))
        hopeful = [task for task in few if gains[task] > HOPELESS]
        plans += [Plan("reuse", keep, "ridge", task, gains[task]) for task in hopeful[:2]]
        full = full_layers(network, self.max_experts)
        if full:
            victim = least_important(few, full, network, self.worth)
            starts: tuple[Start, ...] = tuple(
                "retrain" if layer in full else "copy" for layer in range(depth)
            )
            return [*plans, Plan("reassign", starts, "ridge", victim, gains[victim])]
        for task in hopeful[:1]:
            for kept in range(depth - 1, 0, -1):
                branch = keep[:kept] + _all("copy", depth - kept)
                plans.append(Plan("branch", branch, "ridge", task, gains[task]))
            plans.append(Plan("copy", _all("copy", depth), "ridge", task, gains[task]))
        return [*plans, fresh_plan(network)]


def _price(plan: Plan, tasks: int, classes: int) -> float:
    """Return what it takes to say which plan is meant, in nats: its description length.

    A plan that names one of T earlier tasks was the best of T, one that matches classes the best of
    C! matchings too, an average of S feature sets leans on the best of S. Without the price the
    best of many chance hits wins a task of a few examples.

    >>> plans = [
    ...     Plan("fresh", ("fresh",), "fresh"),
    ...     Plan("take over", ("keep",), "match", source=0),
    ... ]
    >>> [round(_price(plan, tasks=4, classes=3), 3) for plan in plans]  # 0, log 4 + log 6
    [0, 3.178]
    """
    if plan.sets:
        return math.log(len(plan.sets))
    if plan.source is None:
        return 0
    matchings = math.lgamma(classes + 1) if plan.head == "match" else 0.0
    return math.log(tasks) + matchings


def _score_rows(view: TaskView) -> Tensor:
    rows = torch.randperm(len(view.y), generator=generator(view.seed, "score", view.task))
    return rows[:SCORE_ROWS]


def _all(start: Start, depth: int) -> tuple[Start, ...]:
    return (start,) * depth


@torch.no_grad()
def _features(plans: list[Plan], view: TaskView, network: MoENetwork) -> dict[FeatureSet, Tensor]:
    """Return every feature set that a plan's head begins from, for all rows of the task."""
    wanted = {key for plan in plans for key in plan.sets}
    for plan in plans:
        if plan.source is not None:
            wanted.add(FeatureSet(plan.source, "answers" if plan.head == "match" else "features"))
    return network.feature_sets(view.x, wanted)
