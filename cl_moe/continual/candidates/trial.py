"""Training a candidate path on part of a task's rows, and scoring it on held-out rows."""

from __future__ import annotations

import math
import time
from typing import NamedTuple

import torch
from torch import Tensor, nn

from cl_moe.batching import batches
from cl_moe.continual.candidates.paths import CandidatePath
from cl_moe.continual.evidence.ridge import fit_ridge
from cl_moe.continual.evidence.rows import evenly
from cl_moe.continual.view import TaskView
from cl_moe.moe.blocks import OWN
from cl_moe.moe.edits import expert_part, head_part
from cl_moe.moe.network import MoENetwork
from cl_moe.moe.normalisation import needs_two
from cl_moe.schedules import Schedule, factor_at, scaled
from cl_moe.seeding import generator

__all__ = ("COMPARED_ROWS", "Score", "Split", "Trial", "forecast", "split_of")

CHECKPOINTS = (0.05, 0.1, 0.2, 0.5)
"""Shares of a task's steps after which a trial is scored, and ended if it is expected to lose."""
FORECAST_FROM: dict[Schedule, float] = {"constant": 0.0, "one_cycle": 0.2}
"""Share of a task's steps before which no trial is ended: while the learning rate rises, losses
are not on a learning curve."""
COMPARED_ROWS = 512
"""Most rows that closed-form heads are fitted to in comparisons."""


class Split(NamedTuple):
    """Rows of a task to fit, and rows held out."""

    fit: Tensor
    held: Tensor


class Score(NamedTuple):
    """Performance on held-out rows.

    Attributes:
        accuracy: 0 to 1; of another objective its score.
        loss: cross-entropy after temperature scaling, in nats; see
            :meth:`~cl_moe.objectives.base.Objective.calibrated_score`.
    """

    accuracy: float
    loss: float


def split_of(view: TaskView) -> Split:
    """Hold out a fifth of a task's rows: at least 100 if that is a third or less, at most 500.

    The split is stratified by class, and each class keeps a row to fit. If nothing would be held
    out, as with two rows per class, each class with two rows gives one.

    >>> y = torch.arange(30) % 3
    >>> view = TaskView(0, "t", torch.zeros(30, 1), y, 3, 1, 1, torch.optim.Adam)
    >>> fit, held = split_of(view)
    >>> len(fit), y[held].bincount().tolist()
    (21, [3, 3, 3])
    """
    n = len(view.y)
    wanted = min(500, max(n // 5, min(100, n // 3)))
    order = torch.randperm(n, generator=generator(view.seed, "split", view.task))
    y = view.objective.strata(view.y.cpu())[order]
    held = torch.zeros(n, dtype=torch.bool)
    classes = [(y == label).nonzero().flatten() for label in y.unique()]
    for own in classes:
        held[own[: min(len(own) - 1, wanted * len(own) // n)]] = True
    if not held.any():
        held[torch.cat([own[: min(len(own) - 1, 1)] for own in classes])] = True
    return Split(order[~held], order[held])


class Trial:
    """A candidate path in training on the rows to fit.

    Only the slots above the kept ones are trained; the kept ones are run once.

    Args:
        path: the candidate.
        view: the task.
        network: the network; it is not changed.
        split: rows to fit and rows held out.

    Attributes:
        experts: the experts in training.
        head: the head in training.
        steps: optimizer steps taken so far.
        seconds: CPU seconds of these steps.
    """

    def __init__(
        self, path: CandidatePath, view: TaskView, network: MoENetwork, split: Split
    ) -> None:
        self.path, self.view, self.split, self._backbone = path, view, split, network.backbone
        depths = range(path.kept, len(path.starts))
        experts = nn.ModuleList(path.expert(depth, network) for depth in depths)
        head = path.head(view, network, split.fit)
        self._trained = nn.ModuleDict({"experts": experts, "head": head}).to(view.x.device)
        self.experts, self.head = list(experts), head
        with torch.no_grad():
            self._fit, self._held = (self._below(view.x[rows]) for rows in split)
        slots = [layer.name for layer in network.moe_layers][path.kept :]
        parts = {expert_part(n, "new"): m for n, m in zip(slots, self.experts, strict=False)}
        self._optimizer = view.make_optimizer({**parts, head_part(view.task): head})
        self._draw = generator(view.seed, "trial", view.task)
        self._batches: list[Tensor] = []
        self.steps, self.seconds = 0, 0.0

    def train(self, until: int) -> None:
        """Train until ``until`` steps were taken in total."""
        start = time.process_time()
        self._trained.train()
        y = self.view.y[self.split.fit]
        while self.steps < until:
            if not self._batches:
                rows = torch.randperm(len(y), generator=self._draw)
                self._batches = batches(rows, self.view.batch_size, needs_two(self._trained))
            batch = self._batches.pop()
            self._optimizer.zero_grad()
            outputs = self.head({OWN: self._features(self._fit[batch])})
            self.view.objective.loss(outputs, y[batch]).backward()
            rate = factor_at(self.view.schedule, self.steps, self.view.steps)
            with scaled(self._optimizer, rate):
                self._optimizer.step()
            self.steps += 1
        self.seconds += time.process_time() - start

    def run(self, to_beat: float) -> Score:
        """Train for half of the task's steps, or until the path is not expected to win.

        At each of ``CHECKPOINTS`` the loss is the lower one of the head in training and of the
        readout. The trial ends if the loss extrapolated to the task's last step
        (:func:`forecast`) is not below ``to_beat``, but not before ``FORECAST_FROM``.

        Args:
            to_beat: the loss of the ensemble minus the margin, in nats.

        Returns:
            The best score so far.
        """
        steps, best = 0, Score(0.0, math.inf)
        for share in CHECKPOINTS:
            before = (steps, best.loss)
            steps = max(1, round(share * self.view.steps))
            self.train(steps)
            best = min(best, self.score(), self.readout(), key=lambda score: score.loss)
            expected = forecast(before, (steps, best.loss), self.view.steps)
            if share >= FORECAST_FROM[self.view.schedule] and expected >= to_beat:
                break
        return best

    @torch.no_grad()
    def score(self) -> Score:
        """Score the head in training on the held-out rows."""
        self._trained.eval()
        return self._scored(self.head({OWN: self._features(self._held)}))

    @torch.no_grad()
    def readout(self) -> Score:
        """Score a ridge head on the current features on the held-out rows.

        A linear probe (Alain & Bengio 2017): it measures the features independently of the head in
        training, also on the plateau with which training may begin.
        """
        self._trained.eval()
        some = evenly(len(self._fit), COMPARED_ROWS)
        features = self._features(self._fit[some])
        if not bool(features.isfinite().all()):  # training diverged
            return Score(0.0, math.inf)
        fit = fit_ridge(features, self.view.y[self.split.fit[some]], self.view.objective)
        return self._scored(self._features(self._held) @ fit.weight.T + fit.bias)

    def _scored(self, outputs: Tensor) -> Score:
        held = self.view.y[self.split.held]
        return Score(*self.view.objective.calibrated_score(outputs, held))

    def _below(self, x: Tensor) -> Tensor:
        z = self._backbone.encode(x)
        return self._backbone.candidate(z, self.path.kept, self.path.source)

    def _features(self, z: Tensor) -> Tensor:
        return self._backbone.run_candidate(z, self.experts, self.path.source)


def forecast(before: tuple[int, float], now: tuple[int, float], until: int) -> float:
    """Return the loss expected after ``until`` steps: a power law through two points of a curve.

    Learning curves are close to straight lines in the logarithms of steps and loss (Hestness et al.
    2017). Without an earlier finite loss: 0.

    Args:
        before: steps and loss at an earlier point.
        now: steps and loss at the last point.
        until: steps.

    >>> round(forecast((10, 1.0), (20, 0.9), until=40), 3)  # 0.9 * 0.9
    0.81
    >>> forecast((0, math.inf), (10, 1.0), until=40)
    0.0
    """
    (s, loss), (t, loss_now) = before, now
    if not math.isfinite(loss):
        return 0.0
    if not s < t < until or loss_now <= 0 or loss <= 0:
        return loss_now
    slope = min(0.0, math.log(loss_now / loss) / math.log(t / s))
    return loss_now * math.exp(slope * math.log(until / t))
