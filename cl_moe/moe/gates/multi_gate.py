"""One token gate per task."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor, nn

from cl_moe.moe.gates.base import Gate, new_column, stack_columns

__all__ = ("MultiGate",)


class MultiGate(Gate):
    """Routes each row with the router of its task: z = W_t x.

    The multi-gate mixture of Ma et al. 2018 (MMoE, eq. 6-7) with sparse top-k, as in M3ViT
    (Liang et al. 2022). A task's router is frozen when the task ends.

    >>> gate = MultiGate(in_features=4, k=1)
    >>> gate.add_task(0, ["e0", "e1"], torch.Generator().manual_seed(0))
    >>> gate(torch.rand(3, 4), task=0, experts=["e0", "e1"]).chosen.shape
    torch.Size([3, 1])
    """

    def __init__(self, in_features: int, k: int = 1, balance: float = 0.0, z: float = 0.0) -> None:
        super().__init__(in_features, k, balance, z)
        self.routers = nn.ModuleDict()

    def add_task(self, task: int, experts: Sequence[str], generator: torch.Generator) -> None:
        """Make the task's router, one column per expert."""
        self.routers[str(task)] = nn.ParameterDict(
            {expert: new_column(self.in_features, generator) for expert in experts}
        )

    def drop_expert(self, expert: str, into: str | None) -> None:
        """Route the expert's rows to ``into`` in each router that does not have ``into`` yet."""
        for router in self.routers.values():
            assert isinstance(router, nn.ParameterDict)
            if expert in router:
                column = router.pop(expert)
                if into is not None and into not in router:
                    router[into] = column

    def task_parameters(self, task: int) -> list[nn.Parameter]:
        """Return the task's router."""
        return list(self.routers[str(task)].parameters())

    def depends_on(self, task: int, experts: Sequence[str]) -> Iterable[nn.Module | Tensor]:
        """Return all that the routing of a task's rows depends on."""
        return self.task_parameters(task)

    def logits(self, x_BD: Tensor, task: int, experts: Sequence[str]) -> Tensor:
        """Return (B, E)."""
        router = self.routers[str(task)]
        assert isinstance(router, nn.ParameterDict)
        return stack_columns(x_BD, [router[expert] for expert in experts])
