"""Classifiers that are computed, not trained: one a task, on the raw input."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from typing import Any

import torch
from avalanche.core import SupervisedPlugin
from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.continual.evidence.ridge import fit_linear
from cl_moe.moe.dense import TaskNetwork, linear_of
from cl_moe.moe.experts.base import Shape, floats
from cl_moe.moe.extract import frozen_copy
from cl_moe.objectives.base import Objective
from cl_moe.objectives.classification import Classification
from cl_moe.seeding import derive, generator
from cl_moe.strategies.context import MethodContext
from cl_moe.training.model import TaskModel
from cl_moe.training.objectives import objectives_by_task
from cl_moe.training.samples import samples
from cl_moe.training.strategy import Strategy

__all__ = (
    "ClosedFormNetwork", "ClosedFormPlugin", "Fit", "closed_form", "nearest_mean_head",
    "ridge_head",
)  # fmt: skip

Outputs = int | Objective
"""The number of classes C, or what else the outputs of a task mean."""

Fit = Callable[[Tensor, Tensor, Any], nn.Module]
"""Makes a task's classifier from rows (N, D), labels (N) and the number of classes C.

Of a task with another objective, from rows, targets (N, C) and the objective.
"""

ENTRIES = 20_000_000
"""A classifier is fitted to at most so many numbers, rows times their length.

It bounds what ridge regression takes: about 1 GB, and an eigendecomposition of size 4,472, which
is a minute. Rows of 28 x 28 pixels are drawn from where there are more than 25,510, rows of
3 x 32 x 32 where there are more than 6,510.
"""
TEMPERATURES = tuple(2.0**power for power in range(-2, 13))
"""Factors tried on cosines before the softmax; classes may be less than a degree apart."""


class ClosedFormNetwork(TaskNetwork):
    """A classifier a task on the flattened input, with no trunk and nothing to train.

    The input is what a scenario's source gives: pixels, or the features of a frozen encoder such as
    a sentence embedding.

    Args:
        fit: makes a classifier.
        in_shape: shape of a row.
        seed: where the rows of a task that is too large are drawn from.

    >>> network = ClosedFormNetwork(ridge_head, in_shape=(2,))
    >>> network.add_task(0, n_classes=2)
    >>> x, y = torch.tensor([[0.0, 1.0], [0.1, 1.0], [1.0, 0.0], [0.9, 0.0]]), [0, 0, 1, 1]
    >>> network(x, 0).softmax(1)[0].tolist()
    [0.5, 0.5]
    >>> network.fit(0, x, torch.tensor(y), n_classes=2)
    >>> network(x, 0).argmax(1).tolist() == y
    True
    """

    def __init__(self, fit: Fit, in_shape: Shape, seed: int = 0) -> None:
        super().__init__()
        self._fit, self._dim, self._seed = fit, math.prod(in_shape), seed

    def add_task(self, task: int, n_classes: int) -> None:
        """Take in a task, all of whose classes are alike until it is fitted."""
        even = linear_of(torch.zeros(n_classes, self._dim), torch.zeros(n_classes))
        self.heads[str(task)] = even.requires_grad_(False)

    @torch.no_grad()
    def fit(self, task: int, x: Tensor, y: Tensor, n_classes: Outputs) -> None:
        """Compute the classifier of a task from rows x (N, ...) and labels y (N), or targets."""
        x = floats(x).flatten(1)
        most = max(1, ENTRIES // self._dim)
        if len(y) > most:
            drawn = torch.randperm(len(y), generator=generator(self._seed, "rows", task))[:most]
            x, y = x[drawn], y[drawn]
        self.heads[str(task)] = self._fit(x, y, n_classes).requires_grad_(False)

    def restore_task(self, task: int, n_outputs: int) -> None:
        """Take in a task that was fitted before: a classifier of the same make."""
        rows = torch.zeros(n_outputs, self._dim)
        made = self._fit(rows, torch.arange(n_outputs), n_outputs)
        self.heads[str(task)] = made.requires_grad_(False)

    def n_outputs(self, task: int) -> int:
        """Return the number of outputs of a task's classifier."""
        head = self.heads[str(task)]
        last = head[-1] if isinstance(head, nn.Sequential) else head
        assert isinstance(last, nn.Linear)
        return last.out_features

    def branch(self, z: Tensor, task: int) -> Tensor:
        """Return the logits (B, C) of one task for its rows."""
        logits: Tensor = self.heads[str(task)](z.flatten(1))
        return logits

    def for_task(self, task: int) -> nn.Module:
        """Return a copy of the task's classifier."""
        return frozen_copy(nn.Sequential(nn.Flatten(), self.heads[str(task)]))

    def depends_on(self, task: int) -> Iterable[nn.Module | Tensor]:
        """Return all that can change a task's answers."""
        return (self.heads[str(task)],)


class ClosedFormPlugin(SupervisedPlugin):
    """Computes the classifiers of an experience's tasks before training, which is left out.

    A task that comes back is fitted to its new rows alone.
    """

    def before_training_exp(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Fit each task of the experience."""
        network = strategy.model.network
        assert isinstance(network, ClosedFormNetwork)
        data = strategy.experience.dataset
        x, y, tasks = (tensor.to(strategy.device) for tensor in samples(data))
        for task, objective in objectives_by_task(data).items():
            own = tasks == task
            classes = isinstance(objective, Classification)
            outputs = objective.n_outputs if classes else objective
            network.fit(task, x[own], objective.targets(y[own]), outputs)

    def before_training_epoch(self, strategy: Any, *args: Any, **kwargs: Any) -> None:
        """Leave out gradient descent."""
        strategy.stop_training()


def closed_form(context: MethodContext, fit: Fit) -> Strategy:
    """Return the strategy that computes a classifier for each task and trains nothing.

    Args:
        context: what all methods are given.
        fit: makes a classifier.
    """
    seed = derive(context.seed, "network")
    return Strategy(
        model=TaskModel(
            ClosedFormNetwork(fit, tuple(context.stream.shape), seed), objectives=context.objectives
        ),
        training=context.training,
        plugins=[ClosedFormPlugin()],
        device=context.device,
    )


def ridge_head(x_ND: Tensor, y_N: Tensor, n_classes: Outputs) -> nn.Module:
    """Return ridge regression to one-hot labels, or to the targets of another objective.

    See :func:`cl_moe.continual.evidence.ridge.fit_ridge`.
    """
    objective = Classification(n_classes) if isinstance(n_classes, int) else n_classes
    answer = fit_linear(x_ND, y_N, objective)
    return linear_of(answer.weight, answer.bias)


def nearest_mean_head(x_ND: Tensor, y_N: Tensor, n_classes: int) -> nn.Module:
    """Return the classifier by the nearest class mean in angle: softmax_c(t cos(x, m_c)).

    Class means as the weights of a cosine classifier, which is SimpleCIL (Zhou et al. 2023,
    "Revisiting class-incremental learning with pre-trained models"). The temperature t is the one
    with the lowest cross-entropy where each row is left out of the mean of its own class. A class
    without examples is as far from every row as can be.

    Args:
        x_ND: rows.
        y_N: labels 0 to ``n_classes`` - 1.
        n_classes: number of classes C.

    >>> x = torch.tensor([[0.0, 1.0], [0.2, 2.0], [3.0, 0.0], [1.0, 0.1]])
    >>> head = nearest_mean_head(x, torch.tensor([0, 0, 1, 1]), n_classes=3)
    >>> head(x).argmax(1).tolist()
    [0, 0, 1, 1]
    """
    count_C = y_N.bincount(minlength=n_classes)
    sum_CD = x_ND.new_zeros(n_classes, x_ND.shape[1]).index_add_(0, y_N, x_ND)
    mean_CD = F.normalize(sum_CD, dim=1)
    several = count_C[y_N] > 1  # what is left of a class of one has no mean
    x, y = x_ND[several], y_N[several]
    unit = F.normalize(x, dim=1)
    cosine_NC = unit @ mean_CD.T
    own = (unit * F.normalize(sum_CD[y] - x, dim=1)).sum(1, keepdim=True)
    cosine_NC.scatter_(1, y[:, None], own)
    cosine_NC[:, count_C == 0] = -1.0
    t = 1.0
    if len(y):
        t = min(TEMPERATURES, key=lambda factor: F.cross_entropy(factor * cosine_NC, y).item())
    bias_C = torch.where(count_C > 0, 0.0, -t)
    return nn.Sequential(_UnitLength(), linear_of(t * mean_CD, bias_C))


class _UnitLength(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return F.normalize(x, dim=1)
