"""The state of a strategy, between two tasks or within one, without pickle."""

from __future__ import annotations

from typing import Any

import torch
from avalanche.training.plugins import EvaluationPlugin
from avalanche.training.plugins.clock import Clock
from avalanche.training.templates.base_sgd import PeriodicEval
from torch import Tensor
from torch.optim import Optimizer

from cl_moe.errors import InputError
from cl_moe.moe.freezing import names_of
from cl_moe.moe.resting import RestingDict
from cl_moe.seeding import random_state, set_random_state
from cl_moe.state import State, merged, part_of
from cl_moe.training.evaluator import EvaluatorProxy
from cl_moe.training.model import TaskModel
from cl_moe.training.strategy import Strategy

__all__ = (
    "obstacle",
    "optimizer_state",
    "restore_optimizer",
    "restore_strategy",
    "restore_training",
    "strategy_state",
    "training_state",
)

SILENT = (EvaluatorProxy, EvaluationPlugin, PeriodicEval)
"""Plugins of every strategy that keep nothing that training depends on."""


def obstacle(strategy: Any) -> str | None:
    """Return why the state of a strategy cannot be taken; None where it can.

    It can for every :class:`~cl_moe.training.strategy.Strategy` whose plugins have a state
    (:class:`~cl_moe.state.Stateful`) or no attributes.

    >>> from avalanche.core import SupervisedPlugin
    >>> from cl_moe.strategies.task_aware import TaskAwareMoE
    >>> class Counter(SupervisedPlugin):
    ...     def __init__(self):
    ...         self.batches = 0
    >>> obstacle(TaskAwareMoE(shape=(4,)))
    >>> obstacle(TaskAwareMoE(shape=(4,), plugins=[Counter()]))
    'its plugin Counter has no methods state() and restore(state)'
    """
    if not isinstance(strategy, Strategy):
        return f"{type(strategy).__name__} is not built on cl_moe.training.strategy.Strategy"
    for plugin in strategy.plugins:
        if not (_is_stateful(plugin) or isinstance(plugin, (*SILENT, Clock)) or not vars(plugin)):
            return f"its plugin {type(plugin).__name__} has no methods state() and restore(state)"
    return None


def strategy_state(strategy: Strategy) -> State:
    """Return all that the later tasks depend on, at the end of a task.

    Model with growth policy, optimizer with its moments, plugins, counters. Random generators are
    seeded anew for each task of a run. Tensors of frozen parts are not copied
    (:attr:`~cl_moe.state.State.still`): the state is that of the strategy until it learns on.
    """
    model: TaskModel = strategy.model
    return merged(
        {
            "model": model.state(shared=True),
            "optimizer": optimizer_state(strategy.optimizer, model, shared=True),
            "plugins": _plugins_state(strategy),
        }
    )


def restore_strategy(strategy: Strategy, state: State) -> None:
    """Restore the result of :func:`strategy_state` in a strategy that has learned nothing yet.

    Raises:
        InputError: the state belongs to another model or other plugins.
    """
    model: TaskModel = strategy.model
    model.restore(part_of(state, "model"))
    model.to(strategy.device)
    restore_optimizer(strategy.optimizer, model, part_of(state, "optimizer"))
    strategy.optimized_param_id = {}  # else Avalanche would reset the optimizer before training
    _restore_plugins(strategy, part_of(state, "plugins"))


def training_state(strategy: Strategy) -> State:
    """Return all that the rest of a task's training depends on, between two optimizer steps.

    It complements the state at the start of the task. With it, the hooks before the first step are
    called again (a growth policy decides again, which gives the same decision), and then the
    tensors of the model are replaced.
    """
    tensors = {name: t.detach().cpu().clone() for name, t in _changing(strategy.model).items()}
    return merged(
        {
            "model": State({}, tensors),
            "optimizer": optimizer_state(strategy.optimizer, strategy.model),
            "plugins": _plugins_state(strategy),
            "random": State(random_state()),
        }
    )


def restore_training(strategy: Strategy, state: State) -> None:
    """Restore the result of :func:`training_state` before a step of the same task.

    Raises:
        InputError: the state belongs to another model or other plugins.
    """
    given, own = part_of(state, "model").tensors, _changing(strategy.model)
    if {n: t.shape for n, t in own.items()} != {n: t.shape for n, t in given.items()}:
        raise InputError("checkpoint: its tensors are not those of the model; start again")
    with torch.no_grad():
        for name, tensor in own.items():
            tensor.copy_(given[name])
    optimizer = part_of(state, "optimizer")
    _wake(strategy.model, optimizer)
    restore_optimizer(strategy.optimizer, strategy.model, optimizer)
    _restore_plugins(strategy, part_of(state, "plugins"))
    set_random_state(state.plain["random"])


def optimizer_state(optimizer: Optimizer, model: torch.nn.Module, shared: bool = False) -> State:
    """Return the groups and moments of an optimizer, with parameters by their names in the model.

    Parameters that are not in the model are left out.

    Args:
        optimizer: the optimizer.
        model: the model.
        shared: whether the moments of heads at rest are not copied (:attr:`State.still`).
    """
    resting = _at_rest(model)
    names = names_of(model, (p for group in optimizer.param_groups for p in group["params"]))
    names |= resting
    groups, plain, tensors, still = [], {}, {}, set()
    for group in optimizer.param_groups:
        held = [names[p] for p in group["params"] if p in names]
        settings = {key: value for key, value in group.items() if key != "params"}
        groups.append({"parameters": held, "settings": settings})
    for parameter, values in optimizer.state.items():
        name = names.get(parameter)  # type: ignore[call-overload]
        if name is None:
            continue
        plain[name] = {k: v for k, v in values.items() if not isinstance(v, Tensor)}
        same = shared and parameter in resting
        for key, value in values.items():
            if not isinstance(value, Tensor):
                continue
            if same and value.device.type == "cpu":
                still.add(f"{key}/{name}")
                tensors[f"{key}/{name}"] = value
            else:
                tensors[f"{key}/{name}"] = value.detach().cpu().clone()
    return State({"groups": groups, "values": plain}, tensors, still)


def _at_rest(model: torch.nn.Module) -> dict[torch.nn.Parameter, str]:
    """Return the names of the parameters of heads at rest."""
    heads = model.network.heads if isinstance(model, TaskModel) else None
    if not isinstance(heads, RestingDict):
        return {}
    return {p: f"network.heads.{name}" for p, name in heads.names_at_rest().items()}


def restore_optimizer(optimizer: Optimizer, model: torch.nn.Module, state: State) -> None:
    """Restore the result of :func:`optimizer_state`.

    Raises:
        InputError: it has another number of groups, or names parameters that the model lacks.
    """
    own, saved = dict(model.named_parameters()), state.plain["groups"]
    named = [*state.plain["values"], *(name for group in saved for name in group["parameters"])]
    if len(saved) != len(optimizer.param_groups) or not own.keys() >= {*named}:
        raise InputError("checkpoint: its optimizer is not that of the model; start again")
    for group, given in zip(optimizer.param_groups, saved, strict=True):
        group["params"] = [own[name] for name in given["parameters"]]
        for key, value in given["settings"].items():
            group[key] = tuple(value) if isinstance(value, list) else value
    optimizer.state.clear()
    for name, values in state.plain["values"].items():
        optimizer.state[own[name]] = dict(values)
    for place, tensor in state.tensors.items():
        key, _, name = place.partition("/")
        device = own[name].device if tensor.dim() else tensor.device  # Adam's step is on the CPU
        optimizer.state[own[name]][key] = tensor.to(device)


def _wake(model: TaskModel, state: State) -> None:
    """Wake the heads that were awake, before the optimizer takes back their parameters."""
    heads = model.network.heads
    if isinstance(heads, RestingDict):
        own = dict(model.named_parameters())
        named = (own.get(name) for group in state.plain["groups"] for name in group["parameters"])
        for part in {heads.at_rest[p]: None for p in named if p in heads.at_rest}:
            heads.wake(part)


def _changing(model: torch.nn.Module) -> dict[str, Tensor]:
    """Return the tensors that training may change: trainable parameters, and buffers."""
    return {
        name: tensor
        for name, tensor in model.state_dict(keep_vars=True).items()
        if isinstance(tensor, Tensor)
        and (tensor.requires_grad or not isinstance(tensor, torch.nn.Parameter))
    }


def _plugins_state(strategy: Strategy) -> State:
    parts = {}
    for position, plugin in enumerate(_kept(strategy)):
        own = State(vars(plugin).copy()) if isinstance(plugin, Clock) else plugin.state()
        parts[str(position)] = merged({type(plugin).__name__: own})
    return merged(parts)


def _restore_plugins(strategy: Strategy, state: State) -> None:
    plugins = _kept(strategy)
    kinds = [next(iter(state.plain[name]), "") for name in map(str, range(len(state.plain)))]
    if kinds != [type(plugin).__name__ for plugin in plugins]:
        raise InputError("checkpoint: its plugins are not those of the strategy; start again")
    for position, plugin in enumerate(plugins):
        own = part_of(part_of(state, str(position)), type(plugin).__name__)
        if isinstance(plugin, Clock):
            vars(plugin).update(own.plain)
        else:
            plugin.restore(own)


def _kept(strategy: Strategy) -> list[Any]:
    """Return the plugins with a state, in the strategy's order."""
    return [p for p in strategy.plugins if _is_stateful(p) or isinstance(p, Clock)]


def _is_stateful(plugin: object) -> bool:
    return callable(getattr(plugin, "state", None)) and callable(getattr(plugin, "restore", None))
