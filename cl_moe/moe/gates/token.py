"""The gate that knows rows but no tasks."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from cl_moe.moe.gates.base import Gate, new_column, stack_columns

__all__ = ("TokenGate",)


class TokenGate(Gate):
    """Routes each row by its content, whatever its task: z = W x (Shazeer et al. 2017, eq. 2).

    The gate of ordinary sparse models, and the contrast to the task-aware ones: every row may go to
    any expert that exists, so a later task can take over an earlier one's rows.

    >>> g = torch.Generator().manual_seed(0)
    >>> gate = TokenGate(in_features=4, k=1)
    >>> for expert in ("e0", "e1"):
    ...     gate.add_expert(expert, g)
    >>> gate(torch.rand(3, 4), task=0, experts=["e0", "e1"]).weights.shape
    torch.Size([3, 1])
    """

    task_aware = False

    def __init__(self, in_features: int, k: int = 1, balance: float = 0.0, z: float = 0.0) -> None:
        super().__init__(in_features, k, balance, z)
        self.columns = nn.ParameterDict()

    def add_task(self, task: int, experts: Sequence[str], generator: torch.Generator) -> None:
        """Do nothing: this gate knows no tasks."""

    def add_expert(self, expert: str, generator: torch.Generator) -> None:
        """Make the expert's column of W."""
        self.columns[expert] = new_column(self.in_features, generator)

    def drop_expert(self, expert: str, into: str | None) -> None:
        """Drop the expert's column; a task that gets another one goes by the column of that."""
        del self.columns[expert]

    def depends_on(self, task: int, experts: Sequence[str]) -> Iterable[nn.Module | Tensor]:
        """Return all that can change how a task's rows are routed."""
        return [self.columns[expert] for expert in experts]

    def logits(self, x_BD: Tensor, task: int, experts: Sequence[str]) -> Tensor:
        """Return (B, E)."""
        return stack_columns(x_BD, [self.columns[expert] for expert in experts])
