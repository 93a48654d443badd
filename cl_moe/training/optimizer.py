"""Optimizers: made from a training spec, and kept true to a model that grows."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from torch import nn
from torch.optim import SGD, Adam, AdamW, Optimizer

from cl_moe.moe.freezing import trainable_of

if TYPE_CHECKING:
    from cl_moe.streams.spec import TrainingSpec

__all__ = ("clone_optimizer", "make_optimizer", "sync_optimizer")


def make_optimizer(training: TrainingSpec, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Return the optimizer that a training spec asks for."""
    rate, decay = training.learning_rate, training.weight_decay
    groups = [{"params": list(parameters)}]  # a group may be empty, where all is yet to grow
    if training.optimizer == "sgd":
        return SGD(groups, lr=rate, weight_decay=decay, momentum=training.momentum)
    kind = {"adam": Adam, "adamw": AdamW}[training.optimizer]
    return kind(groups, lr=rate, weight_decay=decay)


def clone_optimizer(optimizer: Optimizer, parameters: Iterable[nn.Parameter]) -> Optimizer:
    """Return an optimizer of the same kind and settings for other parameters, with no state."""
    known = set(type(optimizer).__init__.__code__.co_varnames)
    settings = {
        name: value
        for name, value in optimizer.param_groups[0].items()
        if name in known and name != "params"
    }
    return type(optimizer)(parameters, **settings)


def sync_optimizer(optimizer: Optimizer, model: nn.Module) -> None:
    """Make an optimizer hold exactly the trainable parameters of a model.

    A parameter that stays keeps its group and its state (moments); a new one joins the first group;
    one that is frozen or gone leaves together with its state. Costs one pass over the open parts.
    """
    trainable = {id(p): p for p in trainable_of(model)}
    seen: set[int] = set()
    for group in optimizer.param_groups:
        group["params"] = [p for p in group["params"] if id(p) in trainable]
        seen.update(id(p) for p in group["params"])
    optimizer.param_groups[0]["params"] += [p for i, p in trainable.items() if i not in seen]
    gone = [p for p in optimizer.state if id(p) not in trainable]
    for parameter in gone:
        del optimizer.state[parameter]
