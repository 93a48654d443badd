"""A gate that depends on the task only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from cl_moe.moe.gates.base import Gate

__all__ = ("TaskGate",)


class TaskGate(Gate):
    """Sends all rows of a task to the same experts: z = Z[t], one learned row per task.

    Task-level routing (Kudugunta et al. 2021), task-aware in the sense of Gupta et al. 2022. A
    batch of one task calls its experts directly, at the cost of a dense network.

    >>> gate = TaskGate(in_features=4, k=2)
    >>> gate.add_task(0, ["e0", "e1", "e2"], torch.Generator().manual_seed(0))
    >>> gate(torch.rand(3, 4), task=0, experts=["e0", "e1", "e2"]).weights.shape
    torch.Size([1, 2])
    """

    reads_rows = False

    def __init__(self, in_features: int, k: int = 1, balance: float = 0.0, z: float = 0.0) -> None:
        super().__init__(in_features, k, balance, z)
        self.rows = nn.ParameterDict()

    def add_task(self, task: int, experts: Sequence[str], generator: torch.Generator) -> None:
        """Make the task's row, nearly uniform so that any expert may be chosen."""
        row = torch.randn(len(experts), generator=generator) * 0.01
        self.rows[str(task)] = nn.Parameter(row)

    def task_parameters(self, task: int) -> list[nn.Parameter]:
        """Return the task's row."""
        return [self.rows[str(task)]]

    def depends_on(self, task: int, experts: Sequence[str]) -> Iterable[nn.Module | Tensor]:
        """Return all that the routing of a task's rows depends on."""
        return [self.rows[str(task)]]

    def logits(self, x_BD: Tensor, task: int, experts: Sequence[str]) -> Tensor:
        """Return (1, E)."""
        row: Tensor = self.rows[str(task)]
        return row.unsqueeze(0)
