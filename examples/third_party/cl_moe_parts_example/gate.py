"""A gate that goes by the direction of a row."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.moe.gates.base import Gate

__all__ = ("CosineGate",)


class CosineGate(Gate):
    """Routes each row by its cosine to a vector of each expert of its task: cos(x, v_e) / tau.

    Chi et al. 2022, "On the representation collapse of sparse mixture of experts" (NeurIPS): scores
    on a hypersphere do not pull rows towards the experts that they are sent to, as dot products do.
    Their projection is left out, since each task has vectors of its own, which are frozen with it.

    Args:
        in_features: length of a row once flattened.
        k: experts a row is sent to.
        balance: coefficient of the balance loss.
        z: coefficient of the router z-loss.
        temperature: tau; the smaller, the harder the choice.

    >>> gate = CosineGate(in_features=4)
    >>> gate.add_task(0, ["e0", "e1"], torch.Generator().manual_seed(0))
    >>> x = torch.rand(3, 4)
    >>> bool(torch.allclose(gate.logits(x, 0, ["e0", "e1"]), gate.logits(7 * x, 0, ["e0", "e1"])))
    True
    """

    def __init__(
        self,
        in_features: int,
        k: int = 1,
        balance: float = 0.0,
        z: float = 0.0,
        temperature: float = 0.3,
    ) -> None:
        super().__init__(in_features, k, balance, z)
        if temperature <= 0:
            raise ValueError(f"temperature: {temperature} must be above 0")
        self.temperature = temperature
        self.vectors = nn.ParameterDict()

    def add_task(self, task: int, experts: Sequence[str], generator: torch.Generator) -> None:
        """Draw a vector for each expert of the task."""
        for expert in experts:
            vector = torch.randn(self.in_features, generator=generator)
            self.vectors[f"{task}-{expert}"] = nn.Parameter(vector)

    def drop_expert(self, expert: str, into: str | None) -> None:
        """Let ``into`` have the expert's vectors, in tasks that have none of it."""
        for name in [name for name in self.vectors if name.endswith(f"-{expert}")]:
            vector, other = self.vectors.pop(name), name.replace(f"-{expert}", f"-{into}")
            if into is not None and other not in self.vectors:
                self.vectors[other] = vector

    def task_parameters(self, task: int) -> list[nn.Parameter]:
        """Return the task's vectors."""
        return [v for name, v in self.vectors.items() if name.startswith(f"{task}-")]

    def depends_on(self, task: int, experts: Sequence[str]) -> list[nn.Parameter]:
        """Return the task's vectors."""
        return self.task_parameters(task)

    def logits(self, x_BD: Tensor, task: int, experts: Sequence[str]) -> Tensor:
        """Return (B, E)."""
        v_ED = F.normalize(torch.stack([self.vectors[f"{task}-{expert}"] for expert in experts]))
        return F.normalize(x_BD) @ v_ED.T / self.temperature
