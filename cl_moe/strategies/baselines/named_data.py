"""States of Avalanche's plugins that keep a tensor per parameter."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from avalanche.training.utils import ParamData

from cl_moe.state import State, merged, part_of

__all__ = ("data_by_name", "state_of_data")


def state_of_data(kinds: Mapping[str, Mapping[str, Any] | None]) -> State:
    """Return the tensors of dictionaries of ``ParamData``, by the name of the dictionary.

    >>> import torch
    >>> kinds = {"importance": {"w": ParamData("w", init_tensor=torch.ones(2))}, "params": None}
    >>> again = data_by_name(state_of_data(kinds))
    >>> again["params"], again["importance"]["w"].data
    (None, tensor([1., 1.]))
    """
    parts = {}
    for kind, held in kinds.items():
        tensors = {name: data.data.detach().clone() for name, data in (held or {}).items()}
        parts[kind] = State({"absent": held is None}, tensors)
    return merged(parts)


def data_by_name(state: State) -> dict[str, dict[str, ParamData] | None]:
    """Return the dictionaries that were given to :func:`state_of_data`."""
    found: dict[str, dict[str, ParamData] | None] = {}
    for kind in state.plain:
        part = part_of(state, kind)
        made = {n: ParamData(n, init_tensor=t, device=t.device) for n, t in part.tensors.items()}
        found[kind] = None if part.plain["absent"] else made
    return found
