"""Trying a candidate on a part of the new task's training data that it is not fitted to."""

from __future__ import annotations

import time
from collections.abc import Collection, Mapping, Sequence
from typing import Literal, NamedTuple

import torch
from torch import Tensor, nn

from cl_moe.batching import batches, needs_two
from cl_moe.continual.candidates.heads import Heads
from cl_moe.continual.candidates.plan import Plan, module_of
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.base import Backbone
from cl_moe.moe.blocks import OWN
from cl_moe.moe.edits import expert_part, head_part
from cl_moe.moe.heads.base import Head
from cl_moe.moe.network import MoENetwork
from cl_moe.seeding import generator

__all__ = ("Criterion", "Split", "Trial", "Tried", "best_of", "split_of")


Criterion = Literal["loss", "accuracy"]
"""What candidates are compared by on rows held out: calibrated cross-entropy, or accuracy."""


class Split(NamedTuple):
    """Rows of a task to fit, and rows held out."""

    fit: Tensor
    held: Tensor


class Tried(NamedTuple):
    """What a trial showed on rows held out.

    Attributes:
        accuracy: 0 to 1.
        loss: cross-entropy after calibration, in nats.
    """

    accuracy: float
    loss: float


def split_of(view: TaskView) -> Split:
    """Hold out a fifth of a task's rows: 100 at least where that is a third or less, 500 at most.

    The classes are spread evenly, and each keeps an example to be learned from. Where that leaves
    none, with two examples a class, each that has two gives one.

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


def best_of(
    found: Mapping[int, Tried],
    penalties: Sequence[float],
    dropped: Collection[int],
    criterion: Criterion,
) -> int:
    """Return the plan that did best on rows held out, less what it must win by.

    Cross-entropy tells candidates apart on a few dozen rows where accuracy is a lottery.

    >>> found = {0: Tried(0.9, 0.50), 1: Tried(0.8, 0.45), 2: Tried(1.0, 0.1)}
    >>> best_of(found, [0.0, 0.0, 0.0], {2}, "loss"), best_of(found, [0.0, 0.1, 0.0], {2}, "loss")
    (1, 0)
    """

    def value(i: int) -> float:
        merit = -found[i].loss if criterion == "loss" else found[i].accuracy
        return merit - penalties[i]

    return max((i for i in sorted(found) if i not in dropped), key=value)


class Trial:
    """A candidate in training on the rows to fit, a few steps at a time.

    Only what lies above the layers that it keeps is trained; those are run once.

    Args:
        plan: the candidate.
        view: the task.
        network: the network, which is left as it is.
        split: rows to fit and rows held out.
        heads: makes its head.

    Attributes:
        steps: optimizer steps taken so far.
        seconds: what they took.
    """

    def __init__(
        self,
        plan: Plan,
        view: TaskView,
        network: MoENetwork,
        split: Split,
        heads: Heads,
    ) -> None:
        self.plan, self.view, self.split = plan, view, split
        self.top = _Top(plan, network, heads.of(plan, split.fit)).to(view.x.device)
        with torch.no_grad():
            self._fit, self._held = (self.top.below(view.x[rows]) for rows in split)
        slots = [layer.name for layer in network.moe_layers][plan.kept :]
        trained = {expert_part(n, "new"): m for n, m in zip(slots, self.top.parts, strict=False)}
        self._optimizer = view.make_optimizer({**trained, head_part(view.task): self.top.head})
        self._draw = generator(view.seed, "trial", view.task)
        self._batches: list[Tensor] = []
        self.steps, self.seconds = 0, 0.0

    def train(self, until: int) -> None:
        """Train up to so many steps in all."""
        start = time.process_time()
        self.top.train()
        y = self.view.y[self.split.fit]
        while self.steps < until:
            if not self._batches:
                rows = torch.randperm(len(y), generator=self._draw)
                self._batches = batches(rows, self.view.batch_size, needs_two(self.top))
            batch = self._batches.pop()
            self._optimizer.zero_grad()
            self.view.objective.loss(self.top(self._fit[batch]), y[batch]).backward()
            self._optimizer.step()
            self.steps += 1
        self.seconds += time.process_time() - start

    def judge(self) -> Tried:
        """Return how well it does on the rows held out."""
        self.top.eval()
        with torch.no_grad():
            held = self.view.y[self.split.held]
            return Tried(*self.view.objective.calibrated_score(self.top(self._held), held))


class _Top(nn.Module):
    """The part of a candidate above the layers it keeps."""

    def __init__(self, plan: Plan, network: MoENetwork, head: Head) -> None:
        super().__init__()
        self.plan, self._backbone = plan, (network.backbone,)  # not a part: it is left as it is
        depths = range(plan.kept, len(plan.starts))
        self.parts = nn.ModuleList(module_of(plan, depth, network) for depth in depths)
        self.head = head

    @property
    def backbone(self) -> Backbone:
        """Where it runs."""
        return self._backbone[0]

    def below(self, x: Tensor) -> Tensor:
        """Return what it reads of rows x."""
        plan = self.plan
        return self.backbone.candidate(self.backbone.encode(x), plan.kept, plan.source)

    def forward(self, z: Tensor) -> Tensor:
        parts = list(self.parts)
        features = self.backbone.run_candidate(z, parts, self.plan.source)
        outputs: Tensor = self.head({OWN: features})
        return outputs
