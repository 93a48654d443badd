"""What a gate is."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from cl_moe.moe.routing import Routing, balance_loss, top_k, z_loss

__all__ = ("Gate", "stack_columns")


class Gate(nn.Module, ABC):
    """Chooses experts for the rows of one task; never touches the rows themselves.

    A gate keeps one parameter an expert or a task, never a tensor that grows: an expert or a task
    that is not in the batch gets no gradient and cannot move (a stacked tensor would let momentum
    and weight decay move it).

    Args:
        in_features: length of a row once flattened.
        k: experts a row is sent to.
        balance: coefficient of the balance loss (Fedus et al. 2022), for gates that route rows.
        z: coefficient of the router z-loss (Zoph et al. 2022).
    """

    task_aware = True
    """Whether a task is offered only the experts assigned to it (else all that exist)."""
    reads_rows = True
    """Whether the choice depends on the row (else on the task alone)."""

    def __init__(self, in_features: int, k: int = 1, balance: float = 0.0, z: float = 0.0) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k: {k} must be 1 or more experts")
        if balance < 0 or z < 0:
            raise ValueError(f"balance: {balance} and z: {z} must be 0 or more")
        self.in_features, self.k, self.balance, self.z = in_features, k, balance, z

    @abstractmethod
    def add_task(self, task: int, experts: Sequence[str], generator: torch.Generator) -> None:
        """Make the parameters with which ``task`` chooses among ``experts``, once."""

    def add_expert(self, expert: str, generator: torch.Generator) -> None:
        """Make the parameters of a new expert that all tasks share, if the gate has any."""

    def drop_expert(self, expert: str, into: str | None) -> None:
        """Forget an expert; tasks that were assigned it have ``into`` in its place."""

    @abstractmethod
    def logits(self, x_BD: Tensor, task: int, experts: Sequence[str]) -> Tensor:
        """Return the preference for each expert: (B, E), or (1, E) where all rows share it."""

    def task_parameters(self, task: int) -> list[nn.Parameter]:
        """Return the parameters that serve ``task`` alone; they are frozen when it ends."""
        return []

    def depends_on(self, task: int, experts: Sequence[str]) -> Iterable[nn.Module | Tensor]:
        """Return all that can change how a task's rows are routed among ``experts``."""
        return [*self.parameters(), *self.buffers()]

    def forward(self, x: Tensor, task: int, experts: Sequence[str]) -> Routing:
        """Route a batch of one task.

        Args:
            x: (B, ...), flattened before the gate reads it.
            task: task label.
            experts: ids on offer, in the order that ``Routing.chosen`` counts.
        """
        logits_BE = self.logits(x.flatten(1), task, experts)
        losses: dict[str, Tensor] = {}
        if self.training and len(experts) > 1:
            if self.balance and logits_BE.shape[0] > 1:
                losses["balance"] = self.balance * balance_loss(logits_BE)
            if self.z:
                losses["z"] = self.z * z_loss(logits_BE)
        return top_k(logits_BE, self.k, losses)


def stack_columns(x_BD: Tensor, columns: Sequence[Tensor]) -> Tensor:
    """Return x W for a matrix given as one parameter of shape (D + 1,) an expert, bias last.

    >>> stack_columns(torch.ones(1, 2), [torch.tensor([1.0, 2.0, 0.5])]).tolist()
    [[3.5]]
    """
    weight_ED = torch.stack(list(columns))
    return x_BD @ weight_ED[:, :-1].T + weight_ED[:, -1]


def new_column(size: int, generator: torch.Generator) -> nn.Parameter:
    """Return ``size`` weights from N(0, 1/size^2) and a bias of 0: gates start nearly even."""
    weight = torch.randn(size, generator=generator) / size
    return nn.Parameter(torch.cat([weight, torch.zeros(1)]))
