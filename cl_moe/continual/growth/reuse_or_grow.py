"""Growth by relatedness: answer from earlier paths, take over, copy or grow, whichever holds up."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, get_args

import torch

from cl_moe.continual.candidates.budget import full_layers, least_important, users
from cl_moe.continual.candidates.ensemble import Part, ensemble_members
from cl_moe.continual.candidates.halving import race
from cl_moe.continual.candidates.heads import Heads
from cl_moe.continual.candidates.matched import matched_plans
from cl_moe.continual.candidates.plan import (
    Plan,
    decision_of,
    distinct_paths,
    fresh_plan,
    grown_plans,
    in_all,
    reassign_plan,
)
from cl_moe.continual.candidates.sources import Ranking, Score
from cl_moe.continual.candidates.trial import (
    Criterion,
    Split,
    Trial,
    Tried,
    best_of,
    split_of,
)
from cl_moe.continual.decision import Candidate, Decision, Evidence
from cl_moe.continual.evidence.ensemble import EvidenceRows
from cl_moe.continual.evidence.matching import is_one_shot
from cl_moe.continual.evidence.sample import Sample, sample_of
from cl_moe.continual.evidence.signatures import Shortlist
from cl_moe.continual.growth.base import GrowthPolicy
from cl_moe.continual.view import TaskView
from cl_moe.moe.network import MoENetwork
from cl_moe.state import State, merged, part_of

__all__ = ("ReuseOrGrow",)

Kind = Literal["ensemble", "matched", "reuse", "branch", "copy", "fresh"]

LAP = 0.05
"""Share of the task's steps after which the worse half of the candidates in training drops out."""


class ReuseOrGrow(GrowthPolicy):
    """Builds on what is most related, where that holds up on examples held out.

    Earlier paths are ranked by gain: a closed-form score on the path's features minus the same
    score on the raw input. The candidates, on the best few of them:

    * *ensemble*: closed-form answers on earlier paths, stage by stage, and on the raw input, and
      earlier answers with their classes matched, pooled by evidence (with the ensemble gate, for
      tasks of up to ``ensemble_up_to`` examples); nothing is trained.
    * *matched*: an earlier task's answers as they are, classes matched one to one; nothing is
      trained.
    * *reuse*: an earlier path, frozen, under a new head.
    * *branch*: its lower layers frozen, its upper ones copied and trained (with several layers).
    * *copy*: all its experts copied and trained; only of a path whose features are better than the
      raw input.
    * *fresh*: new experts, where there is nothing to copy.
    * *reassign*: with ``max_experts`` in use, instead of growing: among the most related paths, the
      one whose experts matter least to earlier tasks is retrained in place, under protection.

    A task with fewer than ``train_from`` examples gets the average. Else the candidates that are
    trained race on a part of the task's rows, the last one is compared there with those that are
    not, and if it wins it goes on from where it is: a decision costs no optimizer steps but those
    of candidates that lose.

    The default policy, and this project's own; ranking by gain and the trial of paths follow MNTDP
    (Veniat et al. 2021) in spirit.

    Args:
        score: closed-form score: ``ncm``, ``logme``, ``ridge`` or ``knn``.
        criterion: what candidates are compared by on rows held out: calibrated cross-entropy
            (``loss``, nats) or ``accuracy`` (0 to 1).
        candidates: earlier paths that are considered, best first.
        trial_share: share of the task's optimizer steps after which a candidate in training is
            compared with those that need none.
        train_from: fewest examples for which candidates are trained beside an average.
        margin: by how much growing must beat not growing, in the unit of the criterion.
        max_experts: experts a layer may have in use; None for no limit.
        reassign_margin: by how much retraining an expert in use must beat leaving it alone, for
            each earlier task that uses it (one that averages counts by the weight of the path).
        protect: what shields earlier tasks while an expert is retrained: ``distillation`` on the
            new inputs, ``ewc`` on that expert alone, or ``none``.
        protect_strength: its factor in the loss.
        ensemble_up_to: most examples for which averages of closed-form answers are considered.
        kinds: candidates that are considered, of those above; where none of them is to be had the
            task grows fresh experts, or with ``max_experts`` in use is given some.
        reads: what an average reads of an earlier path: its ``features``, its ``predictions``, its
            inner ``stages``, and ``matched`` for its answers with their classes matched.
        symmetries: pairs of an earlier path and a symmetry (images turned, flipped or inverted) that an
            average looks at beside the paths as they are, and whether one or two examples a class
            are answered by the path that knows such images; 0 for none, as behind an encoder
            (:mod:`cl_moe.continual.evidence.alignment`).
        shortlist: earlier tasks that are looked at: all of so many, else those with the nearest
            signatures (:mod:`cl_moe.continual.evidence.signatures`).
    """

    def __init__(
        self,
        score: Score = "ncm",
        criterion: Criterion = "loss",
        candidates: int = 4,
        trial_share: float = 0.5,
        train_from: int = 64,
        margin: float = 0.005,
        max_experts: int | None = None,
        reassign_margin: float = 0.05,
        protect: Literal["distillation", "ewc", "none"] = "distillation",
        protect_strength: float = 1.0,
        ensemble_up_to: int = 2048,
        kinds: Sequence[Kind] = get_args(Kind),
        reads: Sequence[Part] = get_args(Part),
        symmetries: int = 4,
        shortlist: int = 64,
    ) -> None:
        if max_experts is not None and max_experts < 1:
            raise ValueError(f"max_experts: {max_experts} must be 1 or more, or left out")
        if not 0 < trial_share <= 1:
            raise ValueError(f"trial_share: {trial_share} must be above 0 and at most 1")
        for name, given, known in (("kinds", kinds, Kind), ("reads", reads, Part)):
            unknown = set(given).difference(get_args(known))
            if unknown:
                raise ValueError(f"{name}: {sorted(unknown)} must be among {get_args(known)}")
        self.kinds, self.reads = (*kinds, "reassign"), tuple(reads)
        self.criterion = criterion
        self.candidates, self.trial_share, self.train_from = candidates, trial_share, train_from
        self.margin, self.reassign_margin = margin, reassign_margin
        self.max_experts, self.ensemble_up_to = max_experts, ensemble_up_to
        self.protect, self.protect_strength = protect, protect_strength
        self.task_importance: dict[int, float] = {}
        self.matched_tasks: set[int] = set()
        self.near = Shortlist(shortlist)
        self.ranking = Ranking(score, symmetries)

    def decide(self, view: TaskView, network: MoENetwork) -> Decision:
        """Return the candidate that does best on rows held out; ties go to the cheaper one."""
        near = self.near.of(view, network)
        sources = distinct_paths(network, near)
        skipped = self.matched_tasks.union(set(network.tasks).difference(near))
        if not sources:
            fresh = fresh_plan(network)
            return decision_of(fresh, view, network, network.new_head(view.task, view.n_classes))
        split = split_of(view)
        with torch.no_grad():
            sample = sample_of(view, network, split.fit)
            gains = self.ranking.gains(sample, sources)
            plans = self._plans(view, network, gains, sample, skipped)
            reader = sample.reader if len(sample.y) == len(view.y) else network.reader(view.x)
            seen = None if sample.fitted is None else EvidenceRows(sample.fitted, sample.reader)
            heads = Heads(view, network, reader, seen)
        trials: dict[int, Trial] = {}
        tried = [Candidate(plan.kind, plan.source, gain=plan.gain) for plan in plans]
        best = next((i for i, plan in enumerate(plans) if plan.head != "match"), 0)
        if not is_one_shot(view.y) and (len(plans) > 1 or self.max_experts):
            trials, tried, best = self._scored(plans, view, network, split, heads)
        plan, trial = plans[best], trials.get(best)
        evidence = Evidence(plan.source, tuple(tried), best)
        steps = sum(one.steps for one in trials.values())
        if trial is None or "retrain" in plan.starts or any(plan.waiting):
            head = heads.of(plan)
            return decision_of(plan, view, network, head, evidence=evidence, steps=steps)
        top = trial.top
        kept = {"learned": trial.steps, "learned_seconds": trial.seconds}
        return decision_of(
            plan, view, network, top.head, list(top.parts), evidence, steps=steps, **kept
        )

    def learned(self, view: TaskView, network: MoENetwork, decision: Decision) -> None:
        """Remember what the task's data and images look like, and how well it was answered."""
        self.near.add(view.task, view.x, view.y)
        self.ranking.learned(view, network, retrained=bool(decision.retrain))
        if decision.kind == "matched":
            self.matched_tasks.add(view.task)
        winner = decision.evidence.winner
        if winner is not None and winner.accuracy is not None:
            self.task_importance[view.task] = max(0.0, winner.accuracy - view.objective.chance)

    def state(self) -> State:
        """Return what is remembered of the tasks so far."""
        task_importance = {str(task): value for task, value in self.task_importance.items()}
        own = State({"task_importance": task_importance, "matched": sorted(self.matched_tasks)})
        return merged(
            {"own": own, "near": self.near.state(), "alignment": self.ranking.alignment.state()}
        )

    def restore(self, state: State) -> None:
        """Take back what :meth:`state` gave."""
        own = part_of(state, "own").plain
        self.task_importance = {
            int(task): float(value) for task, value in own["task_importance"].items()
        }
        self.matched_tasks = set(own["matched"])
        self.near.restore(part_of(state, "near"))
        self.ranking.alignment.restore(part_of(state, "alignment"))

    def _scored(
        self,
        plans: Sequence[Plan],
        view: TaskView,
        network: MoENetwork,
        split: Split,
        heads: Heads,
    ) -> tuple[dict[int, Trial], list[Candidate], int]:
        """Try every plan on the same rows held out.

        Returns:
            The candidates that were trained, by their place among the plans; what was found; and
            the place of the best.
        """
        found: dict[int, Tried] = {}
        trials: dict[int, Trial] = {}
        for i, plan in enumerate(plans):
            if plan.grows or "retrain" in plan.starts:
                trials[i] = Trial(plan, view, network, split, heads)
            else:
                answers = heads.answers(plan, *split)
                found[i] = Tried(*view.objective.calibrated_score(answers, view.y[split.held]))
        penalties = [self._penalty(plan, view, network, len(split.held)) for plan in plans]
        last = None
        if trials:
            lap = max(1, round(LAP * view.steps))
            until = max(1, round(self.trial_share * view.steps))
            standing = min((found[i].loss + penalties[i] for i in found), default=math.inf)
            to_beat = [standing - penalties[i] for i in trials]
            guess = view.objective.constant_loss(view.y[split.fit])
            rich = not any(plan.members for plan in plans)  # nothing to average
            last, seen = race(list(trials.values()), lap, until, to_beat, guess, patient=rich)
            found |= {list(trials)[i]: tried for i, tried in seen.items()}
        dropped = {i for i, trial in trials.items() if trial is not last}
        best = best_of(found, penalties, dropped, self.criterion)
        candidates = [
            Candidate(p.kind, p.source, found[i].accuracy, p.gain, found[i].loss, i in dropped)
            for i, p in enumerate(plans)
        ]
        return trials, candidates, best

    def _penalty(self, plan: Plan, view: TaskView, network: MoENetwork, rows: int) -> float:
        """Return what a plan must win by: its price a row held out, and what it does to experts.

        That is what it costs to grow, or what those may lose whose expert it takes.
        """
        taken = [depth for depth, start in enumerate(plan.starts) if start == "retrain"]
        hit = users(plan.source, taken, network) if plan.source is not None else 0.0
        hurdle = self.margin * plan.grows + self.reassign_margin * hit
        if self.criterion == "accuracy":
            return hurdle
        return hurdle + plan.price(len(network.tasks), view.n_classes) / rows

    def _plans(
        self,
        view: TaskView,
        network: MoENetwork,
        gains: Mapping[int, float],
        sample: Sample,
        skipped: Collection[int],
    ) -> list[Plan]:
        """Return what is worth trying, cheapest first: on a tie the first one wins."""
        ranked = sorted(gains, key=lambda task: -gains[task])[: self.candidates]
        weights = network.moe_layers[-1].gate.ensemble
        few = len(view.y) <= self.ensemble_up_to and "ensemble" in self.kinds
        if few and weights is not None:
            by_evidence = weights.kind == "evidence"
            among = ranked if by_evidence else list(gains)
            choice = self.ranking.choose_features(
                view.y, sample, gains, among, self.reads, by_evidence
            )
            members = ensemble_members(view, network, choice, skipped, sample)
            plans = [Plan("ensemble", (), "evidence", members=members, train=False)]
            if len(view.y) < self.train_from:
                return plans
        else:
            best = {task: gains[task] for task in ranked}
            plans = matched_plans(view, network, best, skipped, sample, self.candidates)
            keep = in_all("keep", len(network.moe_layers))
            plans += [Plan("reuse", keep, "ridge", t, gains[t]) for t in ranked[:2]]
        grown = self._grown(network, gains, ranked)
        return [p for p in (*plans, *grown) if p.kind in self.kinds] or [
            self._last_resort(network, gains, ranked)
        ]

    def _grown(
        self, network: MoENetwork, gains: Mapping[int, float], ranked: Sequence[int]
    ) -> list[Plan]:
        """Return plans that add experts, or where no more may be added retrain some."""
        if full_layers(network, self.max_experts):
            return [self._last_resort(network, gains, ranked)]
        return grown_plans(network, ranked[0], gains[ranked[0]], self.kinds)

    def _last_resort(
        self, network: MoENetwork, gains: Mapping[int, float], ranked: Sequence[int]
    ) -> Plan:
        full = full_layers(network, self.max_experts)
        if not full:
            return fresh_plan(network)
        victim = least_important(ranked, full, network, self.task_importance)
        return reassign_plan(victim, gains[victim], full, len(network.moe_layers))
