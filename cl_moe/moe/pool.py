"""Experts under stable ids."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from torch import nn

from cl_moe.moe.freezing import FreezableDict
from cl_moe.moe.offload import OffloadedExpert, OffloadStore

__all__ = ("ExpertPool",)


class ExpertPool(nn.Module):
    """Holds experts, each with parameters of its own, under ids that are never used again.

    One parameter set an expert is what keeps idle experts still: in one stacked tensor an expert
    that gets no rows is moved all the same by momentum, Adam's moments and weight decay.

    Args:
        resident: frozen experts that are kept at hand. Of more, those used last are; the numbers of
            the others wait elsewhere (:class:`~cl_moe.moe.offload.OffloadStore`) and come back, the
            same bit for bit, when an expert is asked for by its id. None: all are at hand.

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

    def __init__(self, resident: int | None = None) -> None:
        super().__init__()
        self.experts = FreezableDict()
        self.resident = resident
        self.store = OffloadStore()
        self.resident_ids: dict[str, None] = {}
        """The ids of the frozen experts at hand, those used last at the end."""
        self.made = 0
        """Experts ever taken in: the number of the next id."""

    @property
    def ids(self) -> list[str]:
        """The ids of all experts, oldest first."""
        return list(self.experts)

    @property
    def frozen(self) -> list[str]:
        """The ids of the experts that are frozen."""
        return [id_ for id_ in self.experts if id_ not in self.experts.trainable]

    @property
    def trainable(self) -> list[str]:
        """The ids of the experts that are not frozen."""
        return list(self.experts.trainable)

    def add(self, expert: nn.Module) -> str:
        """Take in an expert and return its new id."""
        id_ = f"e{self.made}"
        self.made += 1
        self.experts[id_] = expert
        return id_

    def remove(self, id_: str) -> None:
        """Drop an expert for good."""
        del self.experts[id_]
        self.resident_ids.pop(id_, None)

    def freeze(self, id_: str) -> None:
        """Keep an expert as it is, parameters, buffers and mode, and forget its gradients."""
        self.experts.freeze(id_)
        self._used(id_)

    def unfreeze(self, id_: str) -> None:
        """Let an expert be trained again, as far as its author lets it."""
        _ = self[id_]
        self.resident_ids.pop(id_, None)
        self.experts.unfreeze(id_)

    def copy_of(self, id_: str) -> nn.Module:
        """Return a copy of an expert that can be trained as the expert could when it was made."""
        _ = self[id_]
        return self.experts.copy_of(id_)

    def __getitem__(self, id_: str) -> nn.Module:
        expert = self.experts[id_]
        if self.resident is None or id_ in self.experts.trainable:
            return expert
        if isinstance(expert, OffloadedExpert):
            expert = self.store.load(expert)
            self._swap(id_, expert)
        self._used(id_)
        return expert

    def _used(self, id_: str) -> None:
        """Note that a frozen expert is used, and put away those that were not for longest."""
        if self.resident is None or isinstance(self.experts[id_], OffloadedExpert):
            return
        self.resident_ids.pop(id_, None)
        self.resident_ids[id_] = None
        while len(self.resident_ids) > self.resident:
            last = next(iter(self.resident_ids))
            del self.resident_ids[last]
            self._swap(last, self.store.offload(self.experts[last]))

    def _swap(self, id_: str, part: nn.Module) -> None:
        self.experts.replace_frozen(id_, part)

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
