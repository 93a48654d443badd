"""The interface of gates."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from cl_moe.moe.routing import Routing, balance_loss, top_k, z_loss

__all__ = ("Gate", "stack_columns")


class Gate(nn.Module, ABC):
    """Chooses experts for the rows of one task; the rows themselves are not changed.

    A gate has a separate parameter for each expert or task, not a tensor that grows: the parameter
    of an expert or a task that is not in the batch gets no gradient and does not change (in a
    stacked tensor momentum and weight decay would change it).

    Args:
        in_features: length of a row once flattened.
        k: experts per row.
        balance: coefficient of the balance loss (Fedus et al. 2022), for gates that route rows.
        z: coefficient of the router z-loss (Zoph et al. 2022).
    """

    task_aware = True
    """Whether a task may use only its assigned experts (else all experts)."""
    reads_rows = True
    """Whether the routing depends on the row (else on the task only)."""

    def __init__(self, in_features: int, k: int = 1, balance: float = 0.0, z: float = 0.0) -> None:
        super().__init__()
        if k < 1:
            raise ValueError(f"k: {k} must be 1 or more experts")
        if balance < 0 or z < 0:
            raise ValueError(f"balance: {balance} and z: {z} must be 0 or more")
        self.in_features, self.k, self.balance, self.z = in_features, k, balance, z

    @abstractmethod
    def add_task(self, task: int, experts: Sequence[str], generator: torch.Generator) -> None:
        """Make the parameters of ``task`` for its choice among ``experts``."""

    def add_expert(self, expert: str, generator: torch.Generator) -> None:
        """Make the parameters of a new expert that are shared by all tasks, if the gate has any."""

    def drop_expert(self, expert: str, into: str | None) -> None:
        """Remove an expert; tasks that were assigned it use ``into`` instead."""

    @abstractmethod
    def logits(self, x_BD: Tensor, task: int, experts: Sequence[str]) -> Tensor:
        """Return the logit of each expert: (B, E), or (1, E) where all rows share the routing."""

    def task_parameters(self, task: int) -> list[nn.Parameter]:
        """Return the parameters of ``task`` only; they are frozen when it ends."""
        return []

    def depends_on(self, task: int, experts: Sequence[str]) -> Iterable[nn.Module | Tensor]:
        """Return all that the routing of a task's rows among ``experts`` depends on."""
        return [*self.parameters(), *self.buffers()]

    def forward(self, x: Tensor, task: int, experts: Sequence[str]) -> Routing:
        """Route a batch of one task.

        Args:
            x: (B, ...), flattened before the gate reads it.
            task: task label.
            experts: ids on offer; ``Routing.chosen`` holds positions in this list.
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
    """Return x W for a matrix given as one parameter of shape (D + 1,) per expert, bias last.

    >>> stack_columns(torch.ones(1, 2), [torch.tensor([1.0, 2.0, 0.5])]).tolist()
    [[3.5]]
    """
    weight_ED = torch.stack(list(columns))
    return x_BD @ weight_ED[:, :-1].T + weight_ED[:, -1]


def new_column(size: int, generator: torch.Generator) -> nn.Parameter:
    """Return ``size`` weights from N(0, 1/size^2) and a bias of 0: gates start nearly uniform."""
    weight = torch.randn(size, generator=generator) / size
    return nn.Parameter(torch.cat([weight, torch.zeros(1)]))
