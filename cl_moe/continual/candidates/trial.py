"""Trying a candidate on a part of the new task's training data that it is not fitted to."""

from __future__ import annotations

import time
from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.continual.candidates.heads import Heads
from cl_moe.continual.candidates.plan import Plan, module_of
from cl_moe.continual.evidence.matching import calibrated
from cl_moe.continual.view import TaskView
from cl_moe.moe.backbones.base import Backbone
from cl_moe.moe.blocks import OWN
from cl_moe.moe.heads.base import Head
from cl_moe.moe.network import MoENetwork
from cl_moe.seeding import generator

__all__ = ("Split", "Trial", "Tried", "entropy", "judged", "split_of")


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
    y = view.y.cpu()[order]
    held = torch.zeros(n, dtype=torch.bool)
    classes = [(y == label).nonzero().flatten() for label in y.unique()]
    for own in classes:
        held[own[: min(len(own) - 1, wanted * len(own) // n)]] = True
    if not held.any():
        held[torch.cat([own[: min(len(own) - 1, 1)] for own in classes])] = True
    return Split(order[~held], order[held])


def judged(logits: Tensor, y: Tensor) -> Tried:
    """Judge logits at the temperature that fits them best: how loud they are says nothing."""
    accuracy = (logits.argmax(1) == y).double().mean().item()
    return Tried(accuracy, calibrated(logits, y)[1].mean().item())


def entropy(y: Tensor) -> float:
    """Return the loss of a guess by how frequent each label is, in nats: log C where all alike.

    >>> round(entropy(torch.tensor([0, 0, 0, 1])), 3), round(entropy(torch.arange(4)), 3)
    (0.562, 1.386)
    """
    share = y.bincount().double() / len(y)
    return float(-torch.xlogy(share, share).sum())


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
        trained = [p for p in self.top.parameters() if p.requires_grad]
        self._optimizer = view.make_optimizer(trained)
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
                self._batches = list(rows.split(self.view.batch_size))
            batch = self._batches.pop()
            self._optimizer.zero_grad()
            F.cross_entropy(self.top(self._fit[batch]), y[batch]).backward()
            self._optimizer.step()
            self.steps += 1
        self.seconds += time.process_time() - start

    def judge(self) -> Tried:
        """Return how well it does on the rows held out."""
        self.top.eval()
        with torch.no_grad():
            return judged(self.top(self._held), self.view.y[self.split.held])


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
