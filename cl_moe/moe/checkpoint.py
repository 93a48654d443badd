"""Save a mixture as plain values and tensors; restore it into a network of the same structure."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from cl_moe import catalog
from cl_moe.errors import InputError
from cl_moe.moe.backbones.base import Backbone
from cl_moe.moe.dense import TaskNetwork
from cl_moe.moe.freezing import FreezableDict
from cl_moe.moe.heads.base import Head
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.state import State

__all__ = ("load_tensors", "network_state", "restore_network")


def network_state(network: MoENetwork | TaskNetwork, shared: bool = False) -> State:
    """Return all that a network has learned: experts, assignments, gates, heads, what is frozen.

    Offloaded experts are loaded.

    Args:
        network: the network.
        shared: whether tensors of parts that are frozen or at rest are not copied: the state is
            that of the network only until it is trained further (:attr:`State.still`).
    """
    held = _Tensors(shared)
    if isinstance(network, TaskNetwork):
        held.add_network(network)
        tasks = [[task, network.n_outputs(task)] for task in network.tasks]
        return State({"tasks": tasks}, held.tensors, held.still)
    backbone = network.backbone
    plain = {
        "base": _frozen(backbone.base),
        "sizes": backbone.sizes(),
        "slots": {name: _slot(layer) for name, layer in backbone.slots.items()},
        "heads": [
            {"task": task, "kind": _head_name(network.head(task)), **network.head(task).describe()}
            for task in network.tasks
        ],
        "trainable_heads": [int(label) for label in network.heads.trainable],
        "heads_off": {name: list(off) for name, off in network.heads.switched_off.items()},
    }
    held.add("base", _Unslotted(backbone))
    for layer in network.moe_layers:
        pool = layer.pool
        for id_ in pool.ids:
            where = f"expert.{layer.name}.{id_}"
            if pool.resident is None:
                held.add_part(where, pool.experts, id_)
            else:
                held.add(where, pool[id_])
        rows = (layer.gate.task_parameters(t) for t in layer.assigned if not _trains(network, t))
        held.add(f"gate.{layer.name}", layer.gate, {id(row) for of_task in rows for row in of_task})
        held.add(f"common.{layer.name}", layer.common)
    for label in network.heads:
        held.add_part(f"head.{label}", network.heads, label)
    return State(plain, held.tensors, held.still)


def restore_network(network: MoENetwork | TaskNetwork, state: State) -> None:
    """Restore a saved state into an untrained network of the same structure.

    Raises:
        InputError: the state belongs to another structure, or it is damaged.

    >>> from cl_moe.moe.backbones.chain import Chain
    >>> from cl_moe.moe.experts.mlp import MLPExpert
    >>> from cl_moe.moe.gates.task import TaskGate
    >>> def make() -> MoENetwork:
    ...     return MoENetwork(Chain([MoELayer(MLPExpert([8]).stages()[0], TaskGate(4), (4,))]))
    >>> network, again = make(), make()
    >>> network.add_task(0, [["e0"]], network.new_head(0, n_outputs=3))
    >>> restore_network(again, network_state(network))
    >>> x = torch.rand(5, 4)
    >>> bool(torch.equal(again(x, 0), network(x, 0)))
    True
    """
    if isinstance(network, TaskNetwork):
        for task, n_outputs in state.plain["tasks"]:
            network.restore_task(int(task), int(n_outputs))
        load_tensors(network, state.tensors, "network")
        return
    plain, backbone = state.plain, network.backbone
    missing = sorted(set(plain["slots"]).symmetric_difference(backbone.slots))
    if missing:
        raise InputError(
            f"saved model: its slots are {sorted(plain['slots'])}, those of this network "
            f"{sorted(backbone.slots)}; give the same slots"
        )
    if plain["sizes"] is not None:
        backbone.set_sizes(plain["sizes"])
    for name, layer in backbone.slots.items():
        _restore_slot(layer, plain["slots"][name])
    _restore_heads(network, state)
    for place, module in _parts(network):
        load_tensors(module, state.tensors, place)
    for name, off in plain["heads_off"].items():
        _switch_off(network.heads[name], off)
        network.heads.freeze(name)
    for name, layer in backbone.slots.items():
        for id_, off in plain["slots"][name]["frozen"].items():
            _switch_off(layer.pool.experts[id_], off)
            layer.pool.freeze(id_)
        _refreeze(layer.common, plain["slots"][name]["common"])
        for task in plain["slots"][name]["assigned"]:
            if int(task) not in plain["trainable_heads"]:
                for parameter in layer.gate.task_parameters(int(task)):
                    parameter.requires_grad_(False)
    _refreeze(backbone.base, plain["base"])


def _restore_heads(network: MoENetwork, state: State) -> None:
    for saved in state.plain["heads"]:
        task = int(saved["task"])
        kind = catalog.resolve("head", saved["kind"], "saved model: heads")
        if not (isinstance(kind, type) and issubclass(kind, Head)):
            raise InputError(f"saved model: '{saved['kind']}' is not a kind of head")
        start = f"head.{task}."
        held = {k[len(start) :]: t for k, t in state.tensors.items() if k.startswith(start)}
        network.heads[str(task)] = kind.restored(saved, held)
        if network.owns_path(task):
            network.first_on.setdefault(network.path(task), task)


def load_tensors(module: nn.Module, tensors: Mapping[str, Tensor], place: str) -> None:
    """Copy the tensors ``place.NAME`` into a module; each of the module's tensors must exist.

    Raises:
        InputError: a tensor is missing, has another shape, or has no counterpart in the module.
    """
    own = module.state_dict(keep_vars=True)
    start = f"{place}."
    given = {name[len(start) :]: t for name, t in tensors.items() if name.startswith(start)}
    wanted = {name: tensor for name, tensor in own.items() if isinstance(tensor, Tensor)}
    problems = [f"{place}.{name} is missing" for name in wanted if name not in given]
    problems += [f"{place}.{name} is unknown" for name in given if name not in wanted]
    problems += [
        f"{place}.{name} has shape {tuple(given[name].shape)}, not {tuple(tensor.shape)}"
        for name, tensor in wanted.items()
        if name in given and given[name].shape != tensor.shape
    ]
    if problems:
        more = f" and {len(problems) - 3} more" if len(problems) > 3 else ""
        raise InputError(
            f"saved model: does not fit this network: {'; '.join(problems[:3])}{more}; "
            "load it into the network that it was saved from"
        )
    with torch.no_grad():
        for name, tensor in wanted.items():
            if tensor.stride() != given[name].stride():  # a product depends on it
                tensor.data = torch.empty_like(given[name], device=tensor.device)
            tensor.copy_(given[name])


class _Tensors:
    """Collects the tensors of a network.

    Args:
        shared: whether those that do not change are not copied; only those in main memory.
    """

    def __init__(self, shared: bool) -> None:
        self._shared = shared
        self.tensors: dict[str, Tensor] = {}
        self.still: set[str] = set()

    def add(self, place: str, module: nn.Module, fixed: Collection[int] = ()) -> None:
        """Add the tensors of a module, those with the ids ``fixed`` without copies."""
        for name, tensor in module.state_dict(keep_vars=True).items():
            if isinstance(tensor, Tensor):
                self._add(f"{place}.{name}", tensor, id(tensor) in fixed)

    def add_part(self, place: str, parts: FreezableDict, name: str) -> None:
        """Add the tensors of a part, without copies if it is frozen."""
        fixed = parts.fixed(name) if self._shared else None
        if fixed is None:
            self.add(place, parts[name])
            return
        for key, tensor in fixed.items():
            self._add(f"{place}.{key}", tensor, True)

    def add_network(self, network: TaskNetwork) -> None:
        """Add the tensors of a network, those of heads at rest without copies."""
        heads = network.heads
        of_its_own = [*network.parameters(recurse=False), *network.buffers(recurse=False)]
        if not isinstance(heads, FreezableDict) or of_its_own:
            self.add("network", network)
            return
        for name, part in network.named_children():
            if part is not heads:
                self.add(f"network.{name}", part)
        for name in heads:
            self.add_part(f"network.heads.{name}", heads, name)

    def _add(self, name: str, tensor: Tensor, fixed: bool) -> None:
        if self._shared and fixed and tensor.device.type == "cpu":
            self.tensors[name] = tensor
            self.still.add(name)
        else:
            self.tensors[name] = tensor.detach().cpu().clone()


def _trains(network: MoENetwork, task: int) -> bool:
    return str(task) in network.heads.trainable


def _parts(network: MoENetwork) -> Iterator[tuple[str, nn.Module]]:
    yield "base", _Unslotted(network.backbone)
    for layer in network.moe_layers:
        for id_ in layer.pool.ids:
            yield f"expert.{layer.name}.{id_}", layer.pool[id_]
        yield f"gate.{layer.name}", layer.gate
        yield f"common.{layer.name}", layer.common
    for task in network.tasks:
        yield f"head.{task}", network.head(task)


class _Unslotted(nn.Module):
    """The base of a backbone, without its slots."""

    def __init__(self, backbone: Backbone) -> None:
        super().__init__()
        self.base = backbone.base


def _slot(layer: MoELayer) -> dict[str, Any]:
    pool = layer.pool
    return {
        "ids": pool.ids,
        "made": pool.made,
        "frozen": {id_: list(off) for id_, off in pool.experts.switched_off.items()},
        "assigned": {str(task): list(ids) for task, ids in layer.assigned.items()},
        "common": _frozen(layer.common),
    }


def _restore_slot(layer: MoELayer, saved: Mapping[str, Any]) -> None:
    for id_ in layer.pool.ids:
        if id_ not in saved["ids"]:
            layer.pool.remove(id_)
    for number in range(layer.pool.made, int(saved["made"])):
        id_ = layer.add(layer.make("0"))
        assert id_ == f"e{number}", (id_, number)
        if id_ not in saved["ids"]:
            layer.pool.remove(id_)
    for task, ids in saved["assigned"].items():
        layer.assign(int(task), ids)


def _frozen(parts: FreezableDict) -> dict[str, list[str]]:
    return {name: list(off) for name, off in parts.switched_off.items()}


def _refreeze(parts: FreezableDict, frozen: Mapping[str, list[str]]) -> None:
    for name in list(parts):
        if name in frozen and name in parts.trainable:
            _switch_off(parts[name], frozen[name])
            parts.freeze(name)


def _switch_off(part: nn.Module, off: list[str]) -> None:
    for name, parameter in part.named_parameters():
        parameter.requires_grad_(name not in off)


def _head_name(head: Head) -> str:
    kind = type(head)
    room, _, name = kind.__module__.rpartition(".")
    return name if room == catalog.KINDS["head"] else f"{kind.__module__}:{kind.__qualname__}"
