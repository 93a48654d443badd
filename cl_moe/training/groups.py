"""Assignment of new parameters to an optimizer's parameter groups."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn
from torch.optim import Optimizer

from cl_moe.moe.edits import expert_part, head_part
from cl_moe.moe.network import MoENetwork
from cl_moe.training.optimizer import settings_of

__all__ = ("ParameterGroups",)


TASK_OR_EXPERT = re.compile(r"(?<![^.])e?\d+(?![^.])")
"""The part of a gate parameter's name that identifies its task or expert."""


class Role(NamedTuple):
    """The role of a parameter in a mixture.

    Attributes:
        kind: ``expert``, ``gate``, ``head`` or ``base``.
        slot: the slot of an expert or a gate; else empty.
        name: the name within the part, without the names of experts and tasks.
    """

    kind: str
    slot: str
    name: str

    @property
    def keys(self) -> tuple[tuple[str, ...], ...]:
        """The role's descriptions, from the most specific to the most general."""
        leaf = self.name.rpartition(".")[2]
        return (
            (*self, "exactly"),
            (self.kind, self.slot, leaf),
            (self.kind, self.slot),
            (self.kind, "", leaf),
            (self.kind,),
        )


class ParameterGroups:
    """Remembers which kinds of parameters were in which group of an optimizer.

    Parameters of later experts, heads and gates join the group of the most similar role: the same
    name in the same slot, else the same slot, else the same kind. A kind that no group has had yet,
    such as heads before the first task, joins the experts.

    >>> from cl_moe import NetworkSpec, build_moe
    >>> model = build_moe(NetworkSpec(hidden=[4]), shape=(3,), seed=0)
    >>> pool = list(model.parameters())
    >>> optimizer = __import__("torch").optim.SGD([{"params": []}, {"params": pool, "lr": 0.5}])
    >>> groups = ParameterGroups()
    >>> groups.note(optimizer, model.network)
    >>> new = model.network.moe_layers[0].make_next()
    >>> trial = groups.optimizer_for(optimizer, {"layer0/new": new})
    >>> [(group["lr"], len(group["params"])) for group in trial.param_groups]
    [(0.5, 2)]
    """

    def __init__(self) -> None:
        self._group: dict[tuple[str, ...], int] = {}

    def note(self, optimizer: Optimizer, network: MoENetwork) -> None:
        """Record the groups of an optimizer's parameters; known roles keep their group."""
        if len(optimizer.param_groups) == 1:
            return
        places = {id(p): i for i, g in enumerate(optimizer.param_groups) for p in g["params"]}
        for role, parameter in _roles(network):
            for key in role.keys if id(parameter) in places else ():
                self._group.setdefault(key, places[id(parameter)])

    def place(self, optimizer: Optimizer, network: MoENetwork) -> bool:
        """Add all parameters that an optimizer lacks to their groups.

        Returns:
            Whether there are several groups.
        """
        groups = optimizer.param_groups
        if len(groups) == 1:
            return False
        held = {id(p) for group in groups for p in group["params"]}
        for role, parameter in _roles(network):
            if id(parameter) not in held:
                held.add(id(parameter))
                groups[self._of(role, len(groups))]["params"].append(parameter)
        return True

    def optimizer_for(self, optimizer: Optimizer, parts: Mapping[str, nn.Module]) -> Optimizer:
        """Return an optimizer of the same class for parts that are not in the network yet.

        Args:
            optimizer: the settings are taken from its groups, without state.
            parts: modules by their names, see :func:`cl_moe.moe.edits.expert_part`; the parameters
                that take gradients are trained.
        """
        groups = optimizer.param_groups
        found: dict[int, dict[int, nn.Parameter]] = {}
        for name, part in parts.items():
            for role, parameter in _roles_in(name, part):
                if parameter.requires_grad:
                    at = self._of(role, len(groups))
                    found.setdefault(at, {})[id(parameter)] = parameter
        made = [
            {"params": list(held.values()), **settings_of(optimizer, groups[at])}
            for at, held in found.items()
        ]
        return type(optimizer)(made, **settings_of(optimizer, groups[0]))

    def state(self) -> list[list[Any]]:
        """Return the group of each known role."""
        return [[list(key), group] for key, group in self._group.items()]

    def restore(self, state: Iterable[Sequence[Any]]) -> None:
        """Restore the result of :meth:`state`."""
        self._group = {tuple(key): group for key, group in state}

    def _of(self, role: Role, groups: int) -> int:
        keys = (*role.keys, *Role("expert", role.slot, role.name).keys)
        found = next((self._group[key] for key in keys if key in self._group), 0)
        return found if found < groups else 0


def _roles(network: MoENetwork) -> Iterator[tuple[Role, nn.Parameter]]:
    """Yield all parameters of a network, once each, with their roles."""
    found: list[tuple[Role, nn.Parameter]] = []
    for layer in network.moe_layers:
        for id_, expert in layer.pool.experts.items():
            found += _roles_in(expert_part(layer.name, id_), expert)
        for name, parameter in layer.gate.named_parameters():
            found.append((Role("gate", layer.name, TASK_OR_EXPERT.sub("*", name)), parameter))
    for label, head in network.heads.items():
        found += _roles_in(head_part(int(label)), head)
    found += [(Role("base", "", name), p) for name, p in network.named_parameters()]
    given: set[int] = set()
    for role, parameter in found:
        if id(parameter) not in given:
            given.add(id(parameter))
            yield role, parameter


def _roles_in(part: str, module: nn.Module) -> list[tuple[Role, nn.Parameter]]:
    """Return the parameters of an expert or a head with their roles."""
    slot, _, name = part.rpartition("/")
    kind = ("head", "") if name.isdigit() and part == head_part(int(name)) else ("expert", slot)
    return [(Role(*kind, name), parameter) for name, parameter in module.named_parameters()]
