"""Edits change a network between optimizer steps; :func:`apply` is the only place that does so."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from cl_moe.errors import InputError, did_you_mean
from cl_moe.moe.freezing import modes_of, restore_modes
from cl_moe.moe.heads.base import Head
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork

__all__ = (
    "Add",
    "Assign",
    "Edit",
    "Remove",
    "Replace",
    "Train",
    "apply",
    "base_part",
    "expert_part",
    "head_part",
    "named",
    "set_trainable",
)


@dataclass(frozen=True, eq=False)
class Add:
    """Add an expert to a slot; later edits of the same list refer to it by ``key``.

    It may come from another network, if its input and output have the slot's shapes:

    >>> from cl_moe.moe.backbones.chain import Chain
    >>> from cl_moe.moe.experts.mlp import MLPExpert
    >>> from cl_moe.moe.gates.task import TaskGate
    >>> def make(seed: int) -> MoENetwork:
    ...     layer = MoELayer(MLPExpert([8]).stages()[0], TaskGate(4), (4,), seed=seed)
    ...     return MoENetwork(Chain([layer]), seed)
    >>> old, new, x = make(0), make(1), torch.rand(5, 4)
    >>> expert = old.moe_layers[0].pool.copy_of("e0")
    >>> assign = Assign(3, {"layer0": ("moved",)}, new.new_head(3, n_outputs=2))
    >>> apply(new, [Add("layer0", "moved", expert), assign])
    {'layer0/moved': 'e1'}
    >>> old.add_task(0, [["e0"]], old.new_head(0, n_outputs=2))
    >>> with old.backbone.context.of(task=0), new.backbone.context.of(task=3):
    ...     torch.equal(old.backbone(x), new.backbone(x))
    True
    """

    slot: str
    key: str
    expert: nn.Module


@dataclass(frozen=True, eq=False)
class Assign:
    """Assign a task its head and its experts, by slot (no experts for a head on other paths)."""

    task: int
    experts: Mapping[str, tuple[str, ...]]
    head: Head


@dataclass(frozen=True, eq=False)
class Replace:
    """Replace parameters and buffers of an expert by merged, pruned or masked values."""

    slot: str
    expert: str
    tensors: Mapping[str, Tensor]


@dataclass(frozen=True)
class Remove:
    """Remove an expert; tasks that use it are assigned another expert of the slot."""

    slot: str
    expert: str
    into: str | None = None


@dataclass(frozen=True)
class Train:
    """Set the trainable parts; all others are frozen and in evaluation mode.

    Attributes:
        parts: names as :func:`expert_part`, :func:`head_part` and :func:`base_part` make them; an
            expert may be named by its key.
    """

    parts: frozenset[str] = field(default_factory=frozenset)


Edit = Add | Assign | Replace | Remove | Train


def expert_part(slot: str, expert: str) -> str:
    """Return the name of an expert among the trainable parts.

    >>> expert_part("layer0", "e1")
    'layer0/e1'
    """
    return f"{slot}/{expert}"


def head_part(task: int) -> str:
    """Return the name of a task's head and of its own gate parameters.

    >>> head_part(3)
    'head/3'
    """
    return f"head/{task}"


def base_part() -> str:
    """Return the name of the remaining parts: encoder and shared experts."""
    return "base"


def apply(network: MoENetwork, edits: Iterable[Edit]) -> dict[str, str]:
    """Change a network.

    Args:
        network: the network; new parts go to its device.
        edits: the changes, applied in this order.

    Returns:
        The id of each added expert, by ``slot/key``.

    Raises:
        InputError: an added expert does not fit its slot; the network is unchanged.

    >>> from cl_moe.moe.backbones.chain import Chain
    >>> from cl_moe.moe.experts.mlp import MLPExpert
    >>> from cl_moe.moe.gates.task import TaskGate
    >>> layer = MoELayer(MLPExpert([8]).stages()[0], TaskGate(4), (4,))
    >>> network = MoENetwork(Chain([layer]))
    >>> new, head = layer.make_next(), network.new_head(0, n_outputs=2)
    >>> add, assign = Add("layer0", "new", new), Assign(0, {"layer0": ("new",)}, head)
    >>> apply(network, [add, assign, Train(frozenset({"layer0/new"}))])
    {'layer0/new': 'e1'}
    >>> layer.pool.trainable, network.path(0)  # e0 waits for a task
    (['e0', 'e1'], (('e1',),))
    """
    ids: dict[str, str] = {}
    slots, edits = network.backbone.slots, list(edits)
    problems = [_misfit(edit, slots) for edit in edits if isinstance(edit, Add)]
    if found := [problem for problem in problems if problem is not None]:
        raise InputError(found)
    for edit in edits:
        if isinstance(edit, Add):
            layer = slots[edit.slot]
            ids[expert_part(edit.slot, edit.key)] = layer.add(edit.expert.to(_device(network)))
        elif isinstance(edit, Assign):
            _assign(network, edit, ids)
        elif isinstance(edit, Replace):
            _replace(slots[edit.slot].pool[edit.expert], edit.tensors)
        elif isinstance(edit, Remove):
            _remove(network, slots[edit.slot], edit)
        else:
            set_trainable(network, {named(part, ids) for part in edit.parts})
    return ids


def named(part: str, ids: Mapping[str, str]) -> str:
    """Return a part's name, with the key of an added expert replaced by its id."""
    return expert_part(part.rpartition("/")[0], ids[part]) if part in ids else part


def set_trainable(network: MoENetwork, parts: set[str]) -> None:
    """Make parts trainable and freeze all others; parts that are frozen already are skipped.

    Unused experts of a pool, which no task is assigned yet, are unchanged.
    """
    for layer in network.moe_layers:
        wanted = {part.rpartition("/")[2] for part in parts if part.startswith(f"{layer.name}/")}
        used = {id_ for experts in layer.assigned.values() for id_ in experts}
        for id_ in layer.pool.trainable:
            if id_ in used and id_ not in wanted:
                layer.pool.freeze(id_)
        for id_ in wanted:
            layer.pool.unfreeze(id_)
    for label in [*network.heads.trainable]:
        if head_part(int(label)) not in parts:
            network.heads.freeze(label)
            for layer in network.moe_layers if network.owns_path(int(label)) else ():
                for parameter in layer.gate.task_parameters(int(label)):
                    parameter.requires_grad_(False)
                    parameter.grad = None
    for part in parts:
        kind, _, label = part.partition("/")
        if kind == "head" and label in network.heads:
            network.heads.unfreeze(label)
    common = [network.backbone.base, *(layer.common for layer in network.moe_layers)]
    for held in common:
        for name in list(held):
            if base_part() in parts:
                held.unfreeze(name)
            else:
                held.freeze(name)


@torch.no_grad()
def _misfit(edit: Add, slots: Mapping[str, MoELayer]) -> str | None:
    """Return why an expert does not fit a slot; None where it fits, or the shapes are unknown."""
    if edit.slot not in slots:
        return f"Add: no slot '{edit.slot}'; {did_you_mean(edit.slot, slots)}"
    shapes = slots[edit.slot].shapes
    if shapes is None or any(isinstance(part, nn.Embedding) for part in edit.expert.modules()):
        return None
    (reads, gives), modes = shapes, modes_of(edit.expert)
    place = f"Add: slot '{edit.slot}' takes rows of shape {reads} and gives {gives}"
    device = next((p.device for p in edit.expert.parameters()), torch.device("cpu"))
    try:
        y = edit.expert.eval()(torch.zeros(1, *reads, device=device))
    except TypeError:  # it is called with more than rows
        return None
    except (RuntimeError, ValueError) as error:
        return f"{place}; the expert '{edit.key}' cannot read them ({error})"
    finally:
        restore_modes(modes)
    if isinstance(y, Tensor) and tuple(y.shape[1:]) != gives:
        return f"{place}; the expert '{edit.key}' gives {tuple(y.shape[1:])}"
    return None


def _assign(network: MoENetwork, edit: Assign, ids: Mapping[str, str]) -> None:
    path: Sequence[Sequence[str]] = [
        [ids.get(expert_part(slot, name), name) for name in edit.experts[slot]]
        for slot in network.backbone.slots
        if edit.experts
    ]
    network.add_task(edit.task, path, edit.head.to(_device(network)))


@torch.no_grad()
def _replace(expert: nn.Module, tensors: Mapping[str, Tensor]) -> None:
    own = expert.state_dict(keep_vars=True)
    unknown = set(tensors) - set(own)
    assert not unknown, f"an expert has no {sorted(unknown)}"
    for name, value in tensors.items():
        own[name].copy_(value)


def _remove(network: MoENetwork, layer: MoELayer, edit: Remove) -> None:
    users = [task for task, experts in layer.assigned.items() if edit.expert in experts]
    assert edit.into is not None or not users, f"tasks {users} use {edit.slot}/{edit.expert}"
    assert edit.into is None or edit.into in layer.pool, f"{edit.slot} has no {edit.into}"
    for task in users:
        kept = (edit.into if id_ == edit.expert else id_ for id_ in layer.assigned[task])
        layer.assigned[task] = tuple(id_ for id_ in kept if id_ is not None)
    layer.pool.remove(edit.expert)
    layer.gate.drop_expert(edit.expert, edit.into)
    network.first_on = {}
    for task in network.tasks:
        if network.owns_path(task):
            network.first_on.setdefault(network.path(task), task)


def _device(network: MoENetwork) -> torch.device:
    return next((p.device for p in network.parameters()), torch.device("cpu"))
