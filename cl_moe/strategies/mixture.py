"""Experts in a user's network, in one call."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from cl_moe import catalog
from cl_moe.arguments import checked
from cl_moe.errors import InputError
from cl_moe.moe.backbones.insert import Insert
from cl_moe.moe.experts.base import HostExpert
from cl_moe.moe.gates.base import Gate
from cl_moe.moe.heads.base import Head
from cl_moe.moe.network import MoENetwork
from cl_moe.seeding import derive
from cl_moe.strategies.networks import MOST_EXPERTS
from cl_moe.training.model import TaskModel

__all__ = ("mixture",)


@checked({"experts": (0, MOST_EXPERTS)})
def mixture(
    backbone: nn.Module,
    *,
    slots: str | Sequence[str],
    expert: str = "lora",
    expert_options: Mapping[str, Any] | None = None,
    gate: str = "task",
    gate_options: Mapping[str, Any] | None = None,
    head: str = "linear",
    experts: int = 0,
    train_base: bool = False,
    seed: int = 0,
) -> TaskModel:
    """Return a mixture of experts inside a network, with experts at the named modules.

    The network is copied. Everything but the experts is frozen; the features without experts are
    the *raw input* of closed-form predictors. A linear classifier at the network's end is left out:
    each task gets a head of its own on its input features.

    Args:
        backbone: any module that maps rows (B, ...) to a tensor: (B, D), or (B, T, D) and (B, D, H,
            W), which are averaged.
        slots: names of the modules that get experts, or patterns as of file names.
        expert: ``lora`` (at linear maps and convolutions), ``adapter`` (at any module), ``copy``
            (replaces the module by copies), ``mlp`` (replaces it by perceptrons), or
            ``package.module:Class``.
        expert_options: its parameters, such as ``{"rank": 8}``.
        gate: a gate's name.
        gate_options: the gate's parameters.
        head: ``linear``, ``cosine`` or ``shared``.
        experts: initial number of experts per slot, for policies that do not grow.
        train_base: whether the first task trains the whole network, which is frozen afterwards. Use
            True for a network that is not pretrained.
        seed: seed of the initial parameters.

    Returns:
        A model for :class:`~cl_moe.TaskAwareMoE` or, with :class:`~cl_moe.MoEPlugin`, for any
        Avalanche strategy; ``model(x, task)`` returns the outputs (B, C) of a task.

    Raises:
        InputError: names or parameters that do not fit.

    >>> import torch
    >>> import cl_moe
    >>> net = nn.Sequential(nn.Linear(8, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU())
    >>> model = cl_moe.mixture(net, slots="2", expert="lora", expert_options={"rank": 2})
    >>> strategy = cl_moe.TaskAwareMoE(model=model)
    >>> x, y = torch.rand(40, 8), torch.arange(40) % 2
    >>> stream = cl_moe.TaskStream([cl_moe.Task("one", (x, y), (x, y), ("a", "b"))])
    >>> for experience in stream.to_benchmark().train_stream:
    ...     _ = strategy.train(experience, eval_streams=[])
    >>> model(x, 0).shape
    torch.Size([40, 2])
    """
    options = {"expert": dict(expert_options or {}), "gate": dict(gate_options or {})}
    chosen: HostExpert = catalog.make(
        "expert", HostExpert, expert, options["expert"], "expert_options", name_place="expert"
    )
    gate_kind = _kind("gate", Gate, gate, {**options["gate"], "in_features": 1})
    head_kind = _kind("head", Head, head, {"in_features": 1, "n_outputs": 1})
    made = Insert(
        backbone,
        slots,
        chosen,
        lambda features: gate_kind(features, **options["gate"]),
        experts=experts,
        learns_base=train_base,
        seed=derive(seed, "network"),
    )
    origin = {
        "kind": "mixture",
        "backbone": type(backbone).__name__,
        "slots": list(made.slots),
        "expert": expert,
        "expert_options": options["expert"],
        "gate": gate,
        "gate_options": options["gate"],
        "head": head,
        "experts": experts,
        "train_base": train_base,
        "seed": seed,
    }
    network = MoENetwork(made, derive(seed, "network"), head_kind)
    return TaskModel(network, origin)


def _kind(kind: str, base: type, name: str, options: Mapping[str, Any]) -> Any:
    """Return a class by name, after a check of its parameters."""
    found = catalog.resolve(kind, name, kind)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise InputError(
            f"{kind}: '{name}' is not a valid {kind}; give a subclass of {base.__name__}"
        )
    problems = catalog.check_parameters(found, dict(options), f"{kind}_options")
    if problems:
        raise InputError(problems)
    return found
