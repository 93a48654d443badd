"""Loading of saved models, and the information that a method's model needs for saving."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import nn

from cl_moe.arguments import checked
from cl_moe.errors import InputError
from cl_moe.references import Origin, reading
from cl_moe.state import load_state
from cl_moe.strategies.methods.base import MethodContext, build_method
from cl_moe.strategies.mixture import mixture
from cl_moe.strategies.networks import build_moe
from cl_moe.streams.spec import NetworkSpec, TrainingSpec
from cl_moe.streams.stream import TaskStream
from cl_moe.streams.task import Task
from cl_moe.training.model import TaskModel

__all__ = ("load", "saveable")

DAMAGE = (KeyError, IndexError, TypeError, ValueError, AttributeError, AssertionError)
"""Errors that damaged values may raise."""


@checked()
def load(
    path: str | Path, backbone: nn.Module | None = None, *, allow_code: bool = False
) -> TaskModel:
    """Return a model that was saved by ``model.save(path)`` or ``cl-moe run --keep-models``.

    It predicts the same, bit for bit. A mixture can be trained further: give it to
    :class:`~cl_moe.TaskAwareMoE`, or to any strategy with :class:`~cl_moe.MoEPlugin`. A baseline is
    its network only: the state of its method (importances of weights, rows) is not saved.

    Args:
        path: the folder.
        backbone: for a model from :func:`~cl_moe.mixture`: a network of the same structure as the
            original one; its parameters are replaced by the saved ones.
        allow_code: import any code that the model's description names, and log one line for each;
            by default it may name installed parts, and what was used in this process before.

    Raises:
        InputError: no saved model, a damaged one, another backbone, or code that is not allowed.
    """
    folder = Path(path)
    try:
        state = load_state(folder)
        origin = state.plain.get("origin")
        if not isinstance(origin, dict):
            raise InputError(f"{folder}: has no description of the model; save it again")
        with reading(Origin(folder, allow_code=allow_code, beside=False)):
            model = _made(origin, backbone, folder)
            model.restore(state)
        known = state.plain.get("tasks", {})
        model.tasks_info = {int(task): dict(info) for task, info in known.items()}
    except InputError:
        raise
    except DAMAGE as error:
        raise InputError(
            f"{folder}: is damaged, or of another version ({type(error).__name__}: {error}); save "
            "the model again"
        ) from error
    return model


def saveable(
    model: object, type: str, parameters: Mapping[str, Any], context: MethodContext
) -> TaskModel:
    """Prepare a method's model for saving: store how it was made, and the names of its tasks.

    Args:
        model: the model of the method's strategy.
        type: the method's type, as for :func:`~cl_moe.strategies.methods.base.build_method`.
        parameters: its parameters.
        context: its settings.

    Raises:
        InputError: it is not a cl_moe network, or was made from values that JSON cannot hold.
    """
    if not isinstance(model, TaskModel):
        raise InputError(
            f"method '{type}': its model, a {model.__class__.__name__}, cannot be saved; keep "
            "models of methods that train a cl_moe.training.model.TaskModel"
        )
    stream = context.stream
    if not model.origin:
        origin = {
            "kind": "method",
            "type": type,
            "parameters": dict(parameters),
            "network": context.network.model_dump(mode="json"),
            "training": context.training.model_dump(mode="json"),
            "shape": list(stream.shape),
            "classes": [task.n_classes for task in stream],
            "probes": [task.n_classes for task in stream.probes],
            "seed": context.seed,
        }
        try:
            json.dumps(origin, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise InputError(
                f"method '{type}': its parameters cannot be saved with its model ({error}); give "
                "numbers, texts, lists and tables"
            ) from error
        model.origin = origin
    for label, task in enumerate((*stream, *stream.probes)):
        model.tasks_info[label] = {"name": task.name, "classes": list(task.classes)}
    return model


def _made(origin: Mapping[str, Any], backbone: nn.Module | None, folder: Path) -> TaskModel:
    """Return the untrained model."""
    if origin["kind"] == "mixture":
        if backbone is None:
            raise InputError(
                f"{folder}: experts in a {origin['backbone']}; pass a network of that "
                "class as load(path, backbone=...)"
            )
        own = ("slots", "expert", "expert_options", "gate", "gate_options", "head")
        given = {name: origin[name] for name in (*own, "experts", "train_base", "seed")}
        return mixture(backbone, **given)
    if backbone is not None:
        raise InputError(f"{folder}: the model contains its network; remove backbone")
    if origin["kind"] == "moe":
        spec = NetworkSpec.model_validate(origin["network"])
        names = ("seed", "gate", "gate_options", "experts")
        options = {name: origin[name] for name in names}
        return build_moe(spec, tuple(origin["shape"]), **options)
    if origin["kind"] == "method":
        return _of_method(origin, folder)
    raise InputError(f"{folder}: a model of kind {origin['kind']!r} is unknown")


def _of_method(origin: Mapping[str, Any], folder: Path) -> TaskModel:
    shape = tuple(origin["shape"])
    tasks = [_outline(n, shape, k) for k, n in enumerate((*origin["classes"], *origin["probes"]))]
    count = len(origin["classes"])
    context = MethodContext(
        stream=TaskStream(tasks[:count], probes=tasks[count:]),
        network=NetworkSpec.model_validate(origin["network"]),
        training=TrainingSpec.model_validate(origin["training"]),
        seed=origin["seed"],
    )
    with torch.random.fork_rng(devices=[]):  # external strategies may draw random numbers
        model = build_method(origin["type"], origin["parameters"], context).strategy.model
    if not isinstance(model, TaskModel):
        raise InputError(
            f"{folder}: method '{origin['type']}' makes a {type(model).__name__} now; use the "
            "version with which the model was saved"
        )
    model.origin = dict(origin)
    return model


def _outline(n_classes: int, shape: tuple[int, ...], position: int) -> Task:
    """Return a task with a number of classes and a row shape, for making a network."""
    y = torch.arange(max(2, n_classes)) % n_classes
    data = (torch.zeros(1).expand(len(y), *shape), y)
    return Task(f"task {position}", data, data, [str(c) for c in range(n_classes)])
