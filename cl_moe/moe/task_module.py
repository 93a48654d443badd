"""One task's answer as a module of its own: only what the task uses, with nothing left to route."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from cl_moe.moe.backbones.base import Backbone
from cl_moe.moe.blocks import RAW, Block
from cl_moe.moe.extract import frozen_copy
from cl_moe.moe.features import Part, reach, read_path, read_predictions
from cl_moe.moe.heads.base import Head
from cl_moe.moe.symmetry import Symmetry

__all__ = ("EnsembleModule", "task_module")


def task_module(backbone: Backbone, heads: nn.ModuleDict, task: int) -> nn.Module:
    """Return what answers one task of a network; see :meth:`MoENetwork.for_task`.

    It is copied, in evaluation mode, and takes no gradients: it stays as it is however the network
    goes on learning.
    """
    modules: OrderedDict[str, nn.Module] = OrderedDict(backbone.encoders())
    head: Head = heads[str(task)]  # type: ignore[assignment]
    if head.reads_own_path:
        for number, module in enumerate(backbone.modules_for(task)):
            modules[f"layer{number}"] = module
        modules["flatten"] = nn.Flatten()
        modules["head"] = head.on_features()
    else:
        modules["answer"] = _ensemble(backbone, heads, head)
    return frozen_copy(nn.Sequential(modules))


class EnsembleModule(nn.Module):
    """The answer of a head that reads other tasks' paths, with what it reads of them alone.

    Args:
        head: pools what is read.
        sources: for each task that is read (-1: the raw input) and the symmetry before it, a module
            that returns what is read of it, by part.

    >>> import torch
    >>> from cl_moe.moe.heads.ensemble import EnsembleHead
    >>> raw = _Path([], None, ["features"])
    >>> head = EnsembleHead({RAW: torch.eye(2)}, torch.zeros(2), {-1: 1.0})
    >>> EnsembleModule(head, {(-1, None): raw})(torch.tensor([[3.0, 4.0]])).tolist()
    [[3.0, 4.0]]
    """

    def __init__(
        self,
        head: Head,
        sources: Mapping[tuple[int, Symmetry | None], _Path | _Predictions],
    ) -> None:
        super().__init__()
        self.read, self.sources = list(sources), nn.ModuleList(sources.values())
        self.head = head

    def forward(self, z: Tensor) -> Tensor:
        """Return the logits (B, C) for what the encoder gives."""
        values = {
            Block(task, part, symmetry): value
            for (task, symmetry), source in zip(self.read, self.sources, strict=True)
            for part, value in source(z).items()
        }
        logits: Tensor = self.head(values)
        return logits


class _Path(nn.Module):
    """A path as far up as it is read, behind a symmetry if there is one."""

    def __init__(
        self,
        stages: Sequence[nn.Module],
        head: Head | None,
        parts: Sequence[Part],
        symmetry: Symmetry | None = None,
    ) -> None:
        super().__init__()
        self.stages, self.parts = nn.ModuleList(stages[: reach(parts)]), tuple(parts)
        self.symmetry = symmetry
        self.head = head if {"predictions", "log predictions"} & set(parts) else None

    def forward(self, z: Tensor) -> dict[Part, Tensor]:
        z = z if self.symmetry is None else self.symmetry(z)
        return read_path(z, list(self.stages), self.head, self.parts)


class _Predictions(nn.Module):
    """The answers of a task that is itself answered from other paths."""

    def __init__(self, answer: EnsembleModule, parts: Sequence[Part]) -> None:
        super().__init__()
        self.answer, self.parts = answer, tuple(parts)

    def forward(self, z: Tensor) -> dict[Part, Tensor]:
        return read_predictions(self.answer(z), self.parts)


def _ensemble(backbone: Backbone, heads: nn.ModuleDict, head: Head) -> EnsembleModule:
    parts: dict[tuple[int, Symmetry | None], list[Part]] = {}
    for task, part, symmetry in head.blocks:
        parts.setdefault((task, symmetry), []).append(part)
    sources = {read: _source(backbone, heads, *read, parts[read]) for read in parts}
    return EnsembleModule(head, sources)


def _source(
    backbone: Backbone,
    heads: nn.ModuleDict,
    task: int,
    symmetry: Symmetry | None,
    parts: Sequence[Part],
) -> _Path | _Predictions:
    if task == RAW.task:
        return _Path(backbone.raw_modules(), None, parts)
    head: Head = heads[str(task)]  # type: ignore[assignment]
    if not head.reads_own_path:
        return _Predictions(_ensemble(backbone, heads, head), parts)
    return _Path(backbone.stage_modules(task), head, parts, symmetry)
