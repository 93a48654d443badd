"""Saved models, read back."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from torch import nn

from cl_moe.errors import InputError
from cl_moe.state import load_state
from cl_moe.strategies.mixture import mixture
from cl_moe.strategies.networks import build_moe
from cl_moe.streams.spec import NetworkSpec
from cl_moe.training.model import TaskModel

__all__ = ("load",)


def load(path: str | Path, backbone: nn.Module | None = None) -> TaskModel:
    """Return a model that was saved by ``model.save(path)``.

    It predicts what the saved one did, bit for bit, and goes on learning: give it to
    :class:`~cl_moe.TaskAwareMoE`, or to any strategy with :class:`~cl_moe.MoEPlugin`.

    Args:
        path: the folder.
        backbone: for a model from :func:`~cl_moe.mixture`: a network of the same make as the one
            that it was made from; its parameters are replaced by those that were saved.

    Raises:
        InputError: no saved model, a damaged one, or another backbone.
    """
    folder = Path(path)
    state = load_state(folder)
    origin = state.plain.get("origin")
    if not isinstance(origin, dict):
        raise InputError(f"{folder}: does not say how the model was made; save it again")
    model = _made(origin, backbone, folder)
    model.restore(state)
    return model


def _made(origin: Mapping[str, Any], backbone: nn.Module | None, folder: Path) -> TaskModel:
    """Return a model as it was before it learned anything."""
    if origin["kind"] == "mixture":
        if backbone is None:
            raise InputError(
                f"{folder}: experts in a {origin['backbone']}; give load(path, backbone=...) a "
                "network of that make"
            )
        names = ("slots", "expert", "expert_options", "gate", "gate_options", "head")
        options = {name: origin[name] for name in (*names, "experts", "train_base", "seed")}
        return mixture(backbone, **options)
    if backbone is not None:
        raise InputError(f"{folder}: the model has a network of its own; leave backbone out")
    if origin["kind"] == "moe":
        spec = NetworkSpec.model_validate(origin["network"])
        names = ("seed", "gate", "gate_options", "experts")
        options = {name: origin[name] for name in names}
        return build_moe(spec, tuple(origin["shape"]), **options)
    raise InputError(f"{folder}: a model of kind {origin['kind']!r} is not known here")
