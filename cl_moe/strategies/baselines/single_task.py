"""A network a task, nothing shared."""

from __future__ import annotations

from collections.abc import Iterable

from torch import Tensor, nn

from cl_moe.moe.dense import DenseNetwork
from cl_moe.moe.experts.base import Shape, StageFactory
from cl_moe.moe.extract import frozen_copy
from cl_moe.strategies.baselines.freezing import FreezingNetwork

__all__ = ("SingleTaskNetwork",)


class SingleTaskNetwork(FreezingNetwork):
    """One trunk and one head a task; earlier ones are frozen when a task arrives.

    Each starts from the numbers that the dense network and a mixture's fresh experts start from:
    what differs between methods is what they share, not the luck of initialisation.

    Args:
        trunk: makes a trunk for inputs of ``in_shape``.
        in_shape: shape of a row.
        seed: where initial parameters are derived from.

    >>> import torch
    >>> from cl_moe.moe.experts.base import cut
    >>> from cl_moe.moe.experts.mlp import MLPExpert
    >>> network = SingleTaskNetwork(*cut(MLPExpert([8]).stages(), 1), in_shape=(4,))
    >>> network.add_task(0, 2)
    >>> network.add_task(1, 3)
    >>> network(torch.rand(5, 4), 1).shape
    torch.Size([5, 3])
    >>> [p.requires_grad for p in network.heads.parameters()]
    [False, False, True, True]
    """

    def __init__(self, trunk: StageFactory, in_shape: Shape, seed: int = 0) -> None:
        super().__init__()
        self._trunk, self._in_shape, self._seed = trunk, in_shape, seed
        self.trunks = nn.ModuleDict()

    @property
    def n_experts(self) -> int:
        """Number of trunks."""
        return len(self.trunks)

    def add_task(self, task: int, n_classes: int) -> None:
        """Freeze what there is and take in a fresh trunk and head."""
        fresh = DenseNetwork(self._trunk, self._in_shape, self._seed)
        fresh.add_task(task, n_classes)
        self.trunks[str(task)] = fresh.trunk
        self.heads[str(task)] = fresh.heads[str(task)]
        self.reopen(task)

    def parts(self, task: str) -> Iterable[nn.Module]:
        """Return a task's trunk and head."""
        return self.trunks[task], self.heads[task]

    def branch(self, z: Tensor, task: int) -> Tensor:
        """Return the logits (B, C) of one task for its rows."""
        logits: Tensor = self.heads[str(task)](self.trunks[str(task)](z).flatten(1))
        return logits

    def for_task(self, task: int) -> nn.Module:
        """Return a copy of the task's trunk and head, in a row."""
        trunk, head = self.trunks[str(task)], self.heads[str(task)]
        return frozen_copy(nn.Sequential(trunk, nn.Flatten(), head))

    def depends_on(self, task: int) -> Iterable[nn.Module | Tensor]:
        """Return all that can change a task's answers."""
        return self.trunks[str(task)], self.heads[str(task)]
