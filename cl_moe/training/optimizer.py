"""Optimizers: construction from a training spec, and updates for a growing model."""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from cl_moe.moe.freezing import trainable_of

if TYPE_CHECKING:
    from cl_moe.streams.spec import TrainingSpec

__all__ = ("make_optimizer", "settings_of", "sync_optimizer")


def make_optimizer(training: TrainingSpec, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Return the optimizer of a training spec."""
    rate, decay = training.learning_rate, training.weight_decay
    groups = [{"params": list(parameters)}]  # a group may be empty before anything has grown
    if training.optimizer == "sgd":
        return SGD(groups, lr=rate, weight_decay=decay, momentum=training.momentum)
    kind = {"adam": Adam, "adamw": AdamW}[training.optimizer]
    return kind(groups, lr=rate, weight_decay=decay)


def settings_of(optimizer: Optimizer, group: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings of a parameter group that the optimizer's constructor takes.

    >>> group = SGD([nn.Parameter()], lr=0.5).param_groups[0]
    >>> settings_of(SGD([nn.Parameter()], lr=0.1), group)["lr"]
    0.5
    """
    known = set(type(optimizer).__init__.__code__.co_varnames)
    return {name: value for name, value in group.items() if name in known and name != "params"}


def sync_optimizer(
    optimizer: Optimizer, model: nn.Module, at_rest: Container[nn.Parameter] = ()
) -> None:
    """Make an optimizer hold exactly the trainable parameters of a model that do not rest.

    A remaining parameter keeps its group and its state (moments); a new parameter joins the first
    group (with several groups, :class:`~cl_moe.training.groups.ParameterGroups` has assigned it
    before); a frozen or removed parameter is removed with its state, one at rest without it. It
    takes one pass over the trainable parts.

    Args:
        optimizer: the optimizer.
        model: the model.
        at_rest: parameters that come back with their state, see
            :class:`~cl_moe.moe.resting.RestingDict`.
    """
    trainable = {id(p): p for p in trainable_of(model)}
    seen: set[int] = set()
    for group in optimizer.param_groups:
        for parameter in group["params"]:
            if id(parameter) not in trainable and parameter not in at_rest:
                optimizer.state.pop(parameter, None)
        held = {id(p): p for p in group["params"] if id(p) in trainable and id(p) not in seen}
        group["params"] = list(held.values())
        seen.update(held)
    optimizer.param_groups[0]["params"] += [p for i, p in trainable.items() if i not in seen]
