"""Progressive networks: one column per task, which reads the frozen columns of earlier tasks."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.moe.experts.base import Shape, StageFactory, make_module, output_shape
from cl_moe.seeding import derive
from cl_moe.strategies.baselines.freezing import FreezingNetwork

__all__ = ("ProgressiveNetwork",)


class ProgressiveNetwork(FreezingNetwork):
    r"""Columns with lateral connections, for any expert kind.

    Rusu et al. 2016, "Progressive neural networks", eq. 2, adapters in front of every stage but the
    first, and in front of the head:

    .. math:: h_i^{(k)} = s_i\left(h_{i-1}^{(k)} + U \sigma(V [\alpha_j h_{i-1}^{(j)}]_{j<k})\right)

    :math:`s_i` is a stage of the trunk (linear and ReLU, or a residual block), :math:`V` and
    :math:`U` are linear maps, 1x1 convolutions between images, to the number of features of one
    column. The paper adds the lateral term after the stage's own linear map; adding it before
    supports all kinds of stages, at the same cost. Avalanche's PNN supports perceptrons of one
    width only, and grows a column when it is evaluated on an unknown task.

    Parameters grow with the square of the number of tasks.

    Args:
        stages: a column's stages, from the input up.
        in_shape: shape of a row.
        seed: seed of the initial parameters.

    >>> from cl_moe.moe.experts.mlp import MLPExpert
    >>> network = ProgressiveNetwork(MLPExpert([8, 6]).stages(), in_shape=(4,))
    >>> for task in range(3):
    ...     network.add_task(task, n_classes=2)
    >>> network(torch.rand(5, 4), 2).shape
    torch.Size([5, 2])
    """

    def __init__(self, stages: Sequence[StageFactory], in_shape: Shape, seed: int = 0) -> None:
        super().__init__()
        self._stages, self._shape, self._seed = list(stages), in_shape, seed
        self.columns = nn.ModuleDict()

    @property
    def n_experts(self) -> int:
        """Number of columns."""
        return len(self.columns)

    def add_task(self, task: int, n_classes: int) -> None:
        """Freeze the existing columns and add a new one."""
        seed, earlier = derive(self._seed, "progressive", task), len(self.columns)
        column, shape = nn.ModuleDict(), self._shape
        stages, adapters = nn.ModuleList(), nn.ModuleList()
        for position, factory in enumerate(self._stages):
            stages.append(make_module(factory, shape, derive(seed, "stage", position)))
            shape = output_shape(stages[-1], shape)
            if earlier:
                adapters.append(
                    make_module(_Lateral(earlier), shape, derive(seed, "lateral", position))
                )
        column["stages"], column["adapters"] = stages, adapters
        self.columns[str(task)] = column
        self.heads[str(task)] = make_module(
            lambda shape: nn.Linear(math.prod(shape), n_classes), shape, derive(seed, "head")
        )
        self.reopen(task)

    def parts(self, task: str) -> Iterable[nn.Module]:
        """Return a task's head, and its column if no later column reads it."""
        newest = task == list(self.columns)[-1]
        return (self.columns[task], self.heads[task]) if newest else (self.heads[task],)

    def branch(self, z: Tensor, task: int) -> Tensor:
        """Return the logits (B, C) of one task for its rows; later columns are not run."""
        needed = self._needed(task)
        h = [z] * len(needed)
        for position in range(len(self._stages)):
            h = [column["stages"][position](h_k) for column, h_k in zip(needed, h, strict=True)]
            h = [
                h_k + column["adapters"][position](h[:k]) if k else h_k
                for k, (column, h_k) in enumerate(zip(needed, h, strict=True))
            ]
        logits: Tensor = self.heads[str(task)](h[-1].flatten(1))
        return logits

    def depends_on(self, task: int) -> Iterable[nn.Module | Tensor]:
        """Return all that a task's predictions depend on."""
        return *self._needed(task), self.heads[str(task)]

    def _needed(self, task: int) -> list[Any]:
        """Return a task's column, after the columns that it reads."""
        names = list(self.columns)
        return [self.columns[name] for name in names[: names.index(str(task)) + 1]]


class _Lateral:
    """Makes the adapter for a number of earlier columns."""

    def __init__(self, earlier: int) -> None:
        self.earlier = earlier

    def __call__(self, shape: Shape) -> nn.Module:
        return Adapter(self.earlier, shape)


class Adapter(nn.Module):
    """U relu(V [alpha_j h_j]): the lateral input of a column from ``earlier`` columns.

    Args:
        earlier: number of earlier columns.
        shape: of one column's features: (D,) or (C, H, W).
    """

    def __init__(self, earlier: int, shape: Shape) -> None:
        super().__init__()
        width = shape[0]
        # The paper starts the scales from different small random values.
        self.alpha = nn.Parameter(0.1 * torch.rand(earlier) + 0.05)
        self.v = _linear_map(earlier * width, width, images=len(shape) == 3)
        self.u = _linear_map(width, width, images=len(shape) == 3)

    def forward(self, earlier: Sequence[Tensor]) -> Tensor:
        """Return the lateral input, in the shape of one column's features."""
        scaled = [alpha * h for alpha, h in zip(self.alpha, earlier, strict=True)]
        return self.u(F.relu(self.v(torch.cat(scaled, dim=1))))


def _linear_map(inputs: int, outputs: int, images: bool) -> nn.Module:
    return nn.Conv2d(inputs, outputs, 1) if images else nn.Linear(inputs, outputs)
