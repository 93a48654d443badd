"""Which of many earlier tasks are worth a look: the nearest by a signature of their data.

Shape letters: N examples, D numbers of an input, P projections, C classes, T tasks.
"""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_moe.continual.view import TaskView
from cl_moe.moe.network import MoENetwork
from cl_moe.seeding import generator
from cl_moe.state import State

__all__ = ("Shortlist", "signature")

ROWS = 512
"""Examples that a signature is computed from."""
PROJECTIONS = 16
"""Random directions that inputs are looked at along."""
QUANTILES = torch.linspace(0.05, 0.95, 9)


def signature(x: Tensor, y_N: Tensor) -> list[Tensor]:
    """Return what tells a task's data from another's, in three parts of fixed lengths.

    All are computed from training examples alone, whatever else is known:

    * where the inputs lie: mean and standard deviation along each of P random directions, the same
      for every task with inputs of that length;
    * where the classes lie among them: the second moments of the class means, less the mean of all,
      along these directions. Classes of other names or in another order give the same. Targets that
      are no classes: their covariances with the inputs;
    * what an unknown shift leaves as it was: the spectrum of the inputs' covariance, which no
      rotation changes, and the quantiles of the single numbers, which no permutation changes.

    Args:
        x: inputs, (N, ...).
        y_N: labels; or targets (N, C), real numbers.

    >>> x, y = torch.rand(60, 8, generator=torch.Generator().manual_seed(0)), torch.arange(60) % 3
    >>> [len(part) for part in signature(x, y)]
    [32, 136, 25]
    >>> other = signature(x, 2 - y)  # the same classes under other names
    >>> all(torch.allclose(a, b, atol=1e-6) for a, b in zip(signature(x, y), other))
    True
    """
    rows = torch.linspace(0, len(y_N) - 1, min(len(y_N), ROWS)).round().long()
    x, y = x[rows].detach().flatten(1).float().cpu(), y_N[rows].cpu()
    draw = generator(0, "signature", x.shape[1])
    directions = torch.randn(x.shape[1], PROJECTIONS, generator=draw)
    z = x @ directions / x.shape[1] ** 0.5
    mean, spread = z.mean(0), z.std(0, correction=0)
    class_means = _covariances(z, y) if y.is_floating_point() else _class_means(z, y) - mean
    upper = torch.triu_indices(PROJECTIONS, PROJECTIONS)
    between = (class_means.T @ class_means / len(class_means))[upper[0], upper[1]]
    within = z - mean
    spectrum = _spectrum(within.T @ within / len(z))
    values = torch.quantile(x.flatten()[:: 1 + x.numel() // 100_000], QUANTILES)
    return [torch.cat([mean, spread]), between, torch.cat([spectrum, values])]


def _spectrum(moments_PP: Tensor) -> Tensor:
    """Return the square roots of a covariance's eigenvalues; infinite where they cannot be found.

    That is so for inputs whose squares overflow. A signature that is not finite is near to none.
    """
    try:
        eigenvalues: Tensor = torch.linalg.eigvalsh(moments_PP)
        return eigenvalues.clamp_min(0).sqrt()
    except RuntimeError:  # of which LinAlgError is one
        return torch.full_like(moments_PP[0], torch.inf)


def _class_means(z_NP: Tensor, y_N: Tensor) -> Tensor:
    """Return the mean (C, P) of each class."""
    one_hot = F.one_hot(torch.unique(y_N, return_inverse=True)[1]).float()
    return one_hot.T @ z_NP / one_hot.sum(0)[:, None]


def _covariances(z_NP: Tensor, y_NC: Tensor) -> Tensor:
    """Return each standardised target's covariances (C, P) with numbers of the inputs."""
    y = y_NC - y_NC.mean(0)
    y = y / y.square().mean(0).sqrt().clamp_min(1e-9)
    return y.T @ (z_NP - z_NP.mean(0)) / len(y)


class Shortlist:
    """Names the earlier tasks that a new one is compared with: all of few, the nearest of many.

    The distance of two tasks is that of their signatures, each part scaled to mean square length 1
    over the tasks that are known, so that no part outweighs another. The search is exact: a product
    with the matrix of all signatures takes a millisecond for thousands of tasks, less than an
    approximate index spends on being kept.

    Args:
        most: tasks on the list, at most.

    >>> near = Shortlist(most=1)
    >>> x, y = torch.rand(40, 3, generator=torch.Generator().manual_seed(0)), torch.arange(40) % 2
    >>> near.add(0, x, y)
    >>> near.add(1, x + 5, y)
    >>> near.to(x + 0.1, y, among=[0, 1])
    [0]
    """

    def __init__(self, most: int) -> None:
        if most < 1:
            raise ValueError(f"shortlist: {most} must be 1 or more")
        self.most = most
        self._rows: dict[int, int] = {}
        self._parts: list[Tensor] = []
        self._odd: set[int] = set()  # tasks whose signatures are not finite

    def add(self, task: int, x: Tensor, y_N: Tensor) -> None:
        """Take in a task's training data, in the form of their signature."""
        self._put(task, signature(x, y_N))

    def _put(self, task: int, parts: list[Tensor]) -> None:
        row = self._rows.setdefault(task, len(self._rows))
        if not self._parts:
            self._parts = [part.new_zeros(64, len(part)) for part in parts]
        if row == len(self._parts[0]):  # room for twice as many: amortised constant cost per task
            self._parts = [torch.cat([part, torch.zeros_like(part)]) for part in self._parts]
        for matrix, part in zip(self._parts, parts, strict=True):
            matrix[row] = part
        if all(bool(part.isfinite().all()) for part in parts):
            self._odd.discard(task)
        else:
            self._odd.add(task)

    def to(self, x: Tensor, y_N: Tensor, among: Collection[int]) -> list[int]:
        """Return the tasks ``among`` others that are on the list of some data, nearest first.

        Of no more than ``most`` all are, in the order given. Tasks whose data were never shown, or
        whose signatures are not finite, come last.

        Args:
            x: training inputs, (N, ...).
            y_N: their labels.
            among: labels of tasks.
        """
        if len(among) <= self.most:
            return list(among)
        seen = [other for other in among if other in self._rows and other not in self._odd]
        rows = torch.tensor([self._rows[other] for other in seen], dtype=torch.long)
        in_order = torch.equal(rows, torch.arange(len(seen)))  # the usual case needs no copy
        distance = torch.zeros(len(seen))
        for matrix, own in zip(self._parts, signature(x, y_N), strict=False):
            known = matrix[: len(seen)] if in_order else matrix[rows]
            scale = (known - known.mean(0)).square().sum(1).mean().clamp_min(1e-12)
            distance += (known - own).square().sum(1) / scale
        distance = distance.nan_to_num(nan=torch.inf)
        order = [seen[i] for i in distance.argsort(stable=True)[: self.most].tolist()]
        if len(order) < self.most:
            taken = set(seen)
            order += [other for other in among if other not in taken]
        return order[: self.most]

    def of(self, view: TaskView, network: MoENetwork) -> list[int]:
        """Return the earlier tasks that a new one is compared with."""
        return self.to(view.x, view.y, [task for task in network.tasks if task != view.task])

    def state(self) -> State:
        """Return the signatures of the tasks so far."""
        parts = {str(i): part[: len(self._rows)].clone() for i, part in enumerate(self._parts)}
        return State({"tasks": list(self._rows)}, parts)

    def restore(self, state: State) -> None:
        """Take back what :meth:`state` gave."""
        self._rows, self._parts, self._odd = {}, [], set()
        kept = [state.tensors[str(i)] for i in range(len(state.tensors))]
        for row, task in enumerate(state.plain["tasks"]):
            self._put(int(task), [part[row] for part in kept])
