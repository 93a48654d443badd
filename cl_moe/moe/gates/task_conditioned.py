"""A router for all tasks that reads the row and the task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from cl_moe.moe.gates.base import Gate, new_column, stack_columns

__all__ = ("TaskConditionedGate",)


class TaskConditionedGate(Gate):
    """Routes each row by its content and its task: z = W [x ; phi(onehot_t)].

    The task-conditioned router of M3ViT (Liang et al. 2022). phi is a two-layer perceptron with
    layer normalisation; its first layer applied to a one-hot vector is one learned vector per task,
    and is stored as such.

    Args:
        in_features: length of a row once flattened.
        k: experts per row.
        balance: coefficient of the balance loss.
        z: coefficient of the router z-loss.
        task_features: length of phi's output.

    >>> g = torch.Generator().manual_seed(0)
    >>> gate = TaskConditionedGate(in_features=4, k=1, task_features=8)
    >>> for expert in ("e0", "e1"):
    ...     gate.add_expert(expert, g)
    >>> gate.add_task(0, ["e0", "e1"], g)
    >>> gate(torch.rand(3, 4), task=0, experts=["e0", "e1"]).chosen.shape
    torch.Size([3, 1])
    """

    def __init__(
        self,
        in_features: int,
        k: int = 1,
        balance: float = 0.0,
        z: float = 0.0,
        task_features: int = 16,
    ) -> None:
        super().__init__(in_features, k, balance, z)
        self.task_features = task_features
        self.embeddings = nn.ParameterDict()
        self.columns = nn.ParameterDict()
        self.phi = nn.Sequential(
            nn.ReLU(), nn.Linear(task_features, task_features), nn.LayerNorm(task_features)
        )

    def add_task(self, task: int, experts: Sequence[str], generator: torch.Generator) -> None:
        """Make the task's vector."""
        self.embeddings[str(task)] = nn.Parameter(
            torch.randn(self.task_features, generator=generator)
        )

    def add_expert(self, expert: str, generator: torch.Generator) -> None:
        """Make the expert's column of W."""
        self.columns[expert] = new_column(self.in_features + self.task_features, generator)

    def drop_expert(self, expert: str, into: str | None) -> None:
        """Remove the expert's column; tasks that get another expert use its column."""
        del self.columns[expert]

    def task_parameters(self, task: int) -> list[nn.Parameter]:
        """Return the task's vector."""
        return [self.embeddings[str(task)]]

    def depends_on(self, task: int, experts: Sequence[str]) -> Iterable[nn.Module | Tensor]:
        """Return all that the routing of a task's rows depends on."""
        return self.embeddings[str(task)], self.phi, *(self.columns[e] for e in experts)

    def logits(self, x_BD: Tensor, task: int, experts: Sequence[str]) -> Tensor:
        """Return (B, E)."""
        phi = self.phi(self.embeddings[str(task)]).expand(x_BD.shape[0], -1)
        joined = torch.cat([x_BD, phi], dim=1)
        return stack_columns(joined, [self.columns[expert] for expert in experts])
