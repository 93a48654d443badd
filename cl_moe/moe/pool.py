"""Experts under stable ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from cl_moe.moe.shelf import Shelf

__all__ = ("ExpertPool",)


class ExpertPool(nn.Module):
    """Holds experts, each with parameters of its own, under ids that are never used again.

    One parameter set an expert is what keeps idle experts still: in one stacked tensor an expert
    that gets no rows is moved all the same by momentum, Adam's moments and weight decay.

    >>> pool = ExpertPool()
    >>> pool.add(nn.Linear(2, 2)), pool.add(nn.Linear(2, 2))
    ('e0', 'e1')
    >>> pool.freeze("e0")
    >>> pool.frozen
    ['e0']
    >>> pool.remove("e1")
    >>> pool.add(nn.Linear(2, 2)), pool.ids
    ('e2', ['e0', 'e2'])
    """

    def __init__(self) -> None:
        super().__init__()
        self.experts = Shelf()
        self.made = 0
        """Experts ever taken in: the number of the next id."""

    @property
    def ids(self) -> list[str]:
        """The ids of all experts, oldest first."""
        return list(self.experts)

    @property
    def frozen(self) -> list[str]:
        """The ids of the experts none of whose parameters is trained."""
        return [id_ for id_, expert in self.experts.items() if not _trains(expert)]

    def add(self, expert: nn.Module) -> str:
        """Take in an expert and return its new id."""
        id_ = f"e{self.made}"
        self.made += 1
        self.experts[id_] = expert
        return id_

    def remove(self, id_: str) -> None:
        """Drop an expert for good."""
        del self.experts[id_]

    def freeze(self, id_: str) -> None:
        """Keep an expert's parameters from being trained, and forget their gradients."""
        self.experts.close(id_)

    def unfreeze(self, id_: str) -> None:
        """Let an expert's parameters be trained again."""
        self.experts.reopen(id_)

    def __getitem__(self, id_: str) -> nn.Module:
        return self.experts[id_]

    def __contains__(self, id_: object) -> bool:
        return isinstance(id_, str) and id_ in self.experts

    def __iter__(self) -> Iterator[str]:
        return iter(self.experts)

    def __len__(self) -> int:
        return len(self.experts)

    def get_extra_state(self) -> dict[str, Any]:
        """Return what ``state_dict`` must keep beside the tensors."""
        return {"made": self.made}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Take back what :meth:`get_extra_state` gave."""
        self.made = state["made"]


def _trains(module: nn.Module) -> bool:
    return any(parameter.requires_grad for parameter in module.parameters())
