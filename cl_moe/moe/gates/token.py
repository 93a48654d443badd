"""A gate that depends on the row only."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from cl_moe.moe.gates.base import Gate, new_column, stack_columns

__all__ = ("TokenGate",)


class TokenGate(Gate):
    """Routes each row by its content, whatever its task: z = W x (Shazeer et al. 2017, eq. 2).

    The usual gate of sparse models, as a contrast to the task-aware gates: every row may go to any
    expert, so training on a later task can change the routing of an earlier task's rows.

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
        """Do nothing: this gate has no parameters per task."""

    def add_expert(self, expert: str, generator: torch.Generator) -> None:
        """Make the expert's column of W."""
        self.columns[expert] = new_column(self.in_features, generator)

    def drop_expert(self, expert: str, into: str | None) -> None:
        """Remove the expert's column; tasks that get another expert use its column."""
        del self.columns[expert]

    def depends_on(self, task: int, experts: Sequence[str]) -> Iterable[nn.Module | Tensor]:
        """Return all that the routing of a task's rows depends on."""
        return [self.columns[expert] for expert in experts]

    def logits(self, x_BD: Tensor, task: int, experts: Sequence[str]) -> Tensor:
        """Return (B, E)."""
        return stack_columns(x_BD, [self.columns[expert] for expert in experts])
