"""Growth by comparing an ensemble on earlier tasks' paths with a path of new experts."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Literal, get_args

import torch

from cl_moe.continual.candidates.budget import full_layers, least_important, users
from cl_moe.continual.candidates.ensemble import EnsembleCandidate, Reads, ensemble_members
from cl_moe.continual.candidates.paths import (
    CandidatePath,
    copied_path,
    fresh_path,
    retrained_path,
)
from cl_moe.continual.candidates.sources import best_symmetry, distinct_paths, gains_of
from cl_moe.continual.candidates.trial import Trial, split_of
from cl_moe.continual.decision import Candidate, Decision, Evidence
from cl_moe.continual.evidence.alignment import Alignment
from cl_moe.continual.evidence.matching import is_one_shot
from cl_moe.continual.evidence.sample import Sample, sample_of
from cl_moe.continual.evidence.signatures import Shortlist
from cl_moe.continual.evidence.weights import EnsembleWeights
from cl_moe.continual.growth.base import GrowthPolicy
from cl_moe.continual.view import TaskView
from cl_moe.errors import InputError
from cl_moe.moe.blocks import RAW
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.symmetry import Symmetry
from cl_moe.state import State, merged, part_of

__all__ = ("ReuseOrGrow",)

Kind = Literal["ensemble", "copy", "fresh"]

RETRAIN_MARGIN = 0.05
"""Nats by which retraining an expert must beat it, for each earlier task that uses the expert."""


class ReuseOrGrow(GrowthPolicy):
    """Reuses earlier experts in an ensemble, or grows new ones: the lower held-out loss wins.

    The default policy. When a task arrives:

    1. Earlier paths are ranked by gain: how much better their features separate the classes than
       the raw input.
    2. The **ensemble**: ridge regressions on the raw input and on the ``paths`` best (features,
       inner stages), and matched heads of earlier tasks, weighted by leave-one-out
       evidence (:class:`~cl_moe.continual.evidence.weights.EnsembleWeights`). Nothing is trained.
    3. One **grown** path: a copy of the best path where its gain is above 0, else fresh experts. It
       is trained on four fifths of the rows for up to half of the task's steps, as long as its
       learning curve is expected to beat the ensemble (:meth:`Trial.run
       <cl_moe.continual.candidates.trial.Trial.run>`).
    4. The lower cross-entropy on the held-out fifth wins; the grown path must win by a ``margin``
       plus, for a copy, the description length of its source (log T nats over all held-out rows).
       If it wins, its training continues, so that only a path that loses costs extra steps.

    A task with fewer than ``train_from`` rows, or one row per class, gets the ensemble; one with
    more than ``grow_from`` rows grows. At ``max_experts``, the grown path retrains the least
    important experts among the best paths instead, under protection.

    Selecting experts by validation follows MNTDP (Veniat et al. 2021); there one source is chosen
    and all its prefixes are trained to the end
    (:class:`~cl_moe.continual.growth.mntdp.MNTDP`).

    Args:
        paths: earlier paths that are considered, best first.
        k: paths that an ensemble reads when it predicts; each costs a forward pass.
        weights: the weights of the ensemble: ``evidence``, or the controls ``uniform``, ``random``.
        reads: what an ensemble reads of an earlier path.
        kinds: candidates that are considered. Without ``copy`` the grown path is fresh, without
            ``fresh`` it is a copy; without either, tasks grow only where there is nothing to reuse.
        margin: nats by which the grown path must beat the ensemble.
        train_from: fewest rows with which a grown path is compared with the ensemble.
        grow_from: a task with more rows grows without a comparison, for the benefit of later tasks,
            unless a matched head has the lowest leave-one-out loss (a recurring task).
        max_experts: experts a layer may have in use; None for no limit.
        protect: how earlier tasks are protected while an expert is retrained: ``distillation`` on
            the new inputs, ``ewc`` on that expert, or ``none``.
        protect_strength: its factor in the loss.
        symmetries: for images: most pairs of an earlier path and a symmetry (rotated, flipped,
            inverted) to consider, see :mod:`cl_moe.continual.evidence.alignment`; 0 for none.
        shortlist: with more earlier tasks than this, only those with the nearest signatures are
            considered (:mod:`cl_moe.continual.evidence.signatures`), so that the cost of a decision
            is bounded; None for all.

    >>> from cl_moe.strategies.networks import moe_network
    >>> from cl_moe.streams.spec import NetworkSpec
    >>> network, policy = moe_network(NetworkSpec(), (4,), seed=0).eval(), ReuseOrGrow()
    >>> x, y = torch.rand(40, 4), torch.arange(40) % 2
    >>> view = TaskView(0, "first", x, y, 2, 10, 8, torch.optim.Adam)
    >>> policy.decide(view, network).kind
    'fresh'
    """

    def __init__(
        self,
        paths: int = 4,
        k: int = 1,
        weights: Literal["evidence", "uniform", "random"] = "evidence",
        reads: Sequence[Reads] = get_args(Reads),
        kinds: Sequence[Kind] = get_args(Kind),
        margin: float = 0.005,
        train_from: int = 64,
        grow_from: int = 2048,
        max_experts: int | None = None,
        protect: Literal["distillation", "ewc", "none"] = "distillation",
        protect_strength: float = 1.0,
        symmetries: int = 0,
        shortlist: int | None = None,
    ) -> None:
        limits = (
            ("paths", paths, 1), ("k", k, 1), ("max_experts", max_experts, 1),
            ("shortlist", shortlist, 1), ("train_from", train_from, 0), ("grow_from", grow_from, 0),
            ("symmetries", symmetries, 0), ("protect_strength", protect_strength, 0),
        )  # fmt: skip
        problems = [
            f"{name}: {value} is too small; give {least} or more"
            for name, value, least in limits
            if value is not None and value < least
        ]
        for name, given, known in (("kinds", kinds, Kind), ("reads", reads, Reads)):
            unknown = sorted(set(given).difference(get_args(known)))
            if unknown:
                problems.append(f"{name}: {unknown} are unknown; give some of {get_args(known)}")
        if not kinds:
            problems.append(f"kinds: no candidate is named; give some of {get_args(Kind)}")
        if problems:
            raise InputError(problems)
        self.paths, self.reads, self.kinds = paths, tuple(reads), tuple(kinds)
        self.weights = EnsembleWeights(k, weights)
        self.margin, self.train_from, self.grow_from = margin, train_from, grow_from
        self.max_experts = max_experts
        self.protect, self.protect_strength = protect, protect_strength
        self.alignment = Alignment(symmetries)
        self.near = None if shortlist is None else Shortlist(shortlist)
        self.importance: dict[int, float] = {}

    def decide(self, view: TaskView, network: MoENetwork) -> Decision:
        """Return the ensemble or the grown path, by their losses on held-out rows."""
        near = self._near(view, network)
        sources = distinct_paths(network, near)
        if not sources:
            head = network.new_head(view.task, view.n_classes)
            return fresh_path(network).decision(view, network, head)
        split = split_of(view)
        with torch.no_grad():
            sample = sample_of(view, network, split.fit)
            gains = gains_of(sources, sample)
            ensemble = self._ensemble(view, network, sample, gains, near)
        grown = self._grown(network, gains)
        only = not {"copy", "fresh"} & {*self.kinds}
        rich = len(view.y) > self.grow_from and not grown.retrained
        if ensemble is None or (rich and not only and not ensemble.recurs()):
            head = grown.head(view, network, torch.arange(len(view.y)))
            return grown.decision(view, network, head)
        if only or len(view.y) < self.train_from or is_one_shot(view.y):
            return ensemble.decision(Evidence(None, (Candidate("ensemble"),), 0))
        return self._compare(ensemble, Trial(grown, view, network, split))

    def learned(self, view: TaskView, network: MoENetwork, decision: Decision) -> None:
        """Store statistics of the task's inputs, and its accuracy above chance."""
        if self.near is not None:
            self.near.add(view.task, view.x, view.y)
        if network.owns_path(view.task) and not len(network.backbone.base):
            first = network.first_on[network.path(view.task)]
            if first == view.task or decision.retrain:
                self.alignment.add(first, view.x)
        winner = decision.evidence.winner
        if winner is not None and winner.accuracy is not None:
            self.importance[view.task] = max(0.0, winner.accuracy - view.objective.chance)

    def state(self) -> State:
        """Return the statistics and accuracies of the tasks so far."""
        own = State({"importance": {str(task): v for task, v in self.importance.items()}})
        parts = {"own": own, "alignment": self.alignment.state()}
        return merged(parts if self.near is None else {**parts, "near": self.near.state()})

    def restore(self, state: State) -> None:
        """Restore the result of :meth:`state`."""
        importance = part_of(state, "own").plain["importance"]
        self.importance = {int(task): float(value) for task, value in importance.items()}
        self.alignment.restore(part_of(state, "alignment"))
        if self.near is not None:
            if "near" not in state.plain:
                raise InputError(
                    "growth_options.shortlist: the saved policy has none, so earlier tasks have no "
                    "signatures; leave it out"
                )
            self.near.restore(part_of(state, "near"))

    def _near(self, view: TaskView, network: MoENetwork) -> list[int]:
        """Return the earlier tasks that are considered."""
        if self.near is not None:
            return self.near.of(view, network)
        return [task for task in network.tasks if task != view.task]

    def _ensemble(
        self,
        view: TaskView,
        network: MoENetwork,
        sample: Sample,
        gains: Mapping[int, float],
        near: Sequence[int],
    ) -> EnsembleCandidate | None:
        """Return the ensemble that reads the best paths; with the control weights, all paths.

        None if ``kinds`` excludes it, a gate routes by row, so that tasks have no path, or not even
        the raw input is finite, as the layers before the experts diverged.
        """
        by_row = any(layer.gate.reads_rows for layer in network.moe_layers)
        raw = sample.reader[RAW]
        if "ensemble" not in self.kinds or by_row or not bool(raw.isfinite().all()):
            return None
        ranked = _ranked(gains)[: self.paths] if self.weights.kind == "evidence" else list(gains)
        sources: list[tuple[int, Symmetry | None]] = [(task, None) for task in ranked]
        sources += best_symmetry(self.alignment, sample, gains)
        members = ensemble_members(view, network, sources, self.reads, sample, near)
        return EnsembleCandidate(view, network, members, self.weights, sample)

    def _grown(self, network: MoENetwork, gains: Mapping[int, float]) -> CandidatePath:
        """Return the path of new experts; of retrained ones at the limit."""
        best, *others = _ranked(gains)[: self.paths]
        slots = len(network.moe_layers)
        full = full_layers(network, self.max_experts)
        if full:
            victim = least_important([best, *others], full, network, self.importance)
            return retrained_path(victim, gains[victim], full, slots)
        finite = gains[best] > -math.inf  # else all earlier paths diverged
        if "copy" in self.kinds and finite and (gains[best] > 0 or "fresh" not in self.kinds):
            return copied_path(best, gains[best], slots)
        return fresh_path(network)

    def _compare(self, ensemble: EnsembleCandidate, trial: Trial) -> Decision:
        """Return the candidate with the lower held-out loss, given the margin for growth.

        If neither loss is finite, fresh experts are grown.
        """
        view, network, path = trial.view, ensemble.network, trial.path
        margin = self.margin
        if path.retrained:
            assert path.source is not None
            margin = RETRAIN_MARGIN * users(path.source, path.retrained, network)
        price = 0.0 if path.source is None else math.log(len(network.heads))
        margin += price / len(trial.split.held)
        reused = ensemble.score(trial.split)
        grown = trial.run(reused.loss - margin)
        if not (math.isfinite(reused.loss) or math.isfinite(grown.loss) or path.retrained):
            head = network.new_head(view.task, view.n_classes)
            return fresh_path(network).decision(view, network, head, steps=trial.steps)
        chosen = int(grown.loss < reused.loss - margin or not math.isfinite(reused.loss))
        weighed = (
            Candidate("ensemble", None, reused.accuracy, None, reused.loss),
            Candidate(path.kind, path.source, grown.accuracy, path.gain, grown.loss),
        )
        evidence = Evidence(path.source if chosen else None, weighed, chosen)
        if not chosen:
            return ensemble.decision(evidence, trial.steps)
        if path.retrained or any(path.waiting):  # the modules to train are in the network
            head = path.head(view, network, torch.arange(len(view.y)))
            return path.decision(view, network, head, evidence=evidence, steps=trial.steps)
        return path.decision(
            view,
            network,
            trial.head,
            trial.experts,
            evidence,
            steps=trial.steps,
            learned=trial.steps,
            learned_seconds=trial.seconds,
        )


def _ranked(gains: Mapping[int, float]) -> list[int]:
    """Return tasks by the gain of their paths, best first."""
    return sorted(gains, key=lambda task: -gains[task])
