"""Layers of experts in sequence, after an encoder that all tasks share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from torch import Tensor, nn

from cl_moe.moe.backbones.base import Backbone, Stage
from cl_moe.moe.experts.base import floats, stages_of
from cl_moe.moe.extract import experts_for
from cl_moe.moe.layer import MoELayer

__all__ = ("Chain",)


class Chain(Backbone):
    """The trunk of cl_moe's own networks: a sequence of layers of experts.

    Args:
        layers: from the input up.
        encoder: a module before the first layer, shared by all tasks; None for none. It is trained
            on the first task and then frozen.

    >>> import torch
    >>> from cl_moe.moe.experts.mlp import MLPExpert
    >>> from cl_moe.moe.gates.task import TaskGate
    >>> chain = Chain([MoELayer(MLPExpert([8]).stages()[0], TaskGate(4), (4,))])
    >>> chain.slots["layer0"].assign(0, ["e0"])
    >>> with chain.context.of(task=0):
    ...     chain(torch.rand(5, 4)).shape
    torch.Size([5, 8])
    """

    def __init__(self, layers: Iterable[MoELayer], encoder: nn.Module | None = None) -> None:
        layers = list(layers)
        base = {} if encoder is None else {"encoder": encoder}
        super().__init__(base, layers, [f"layer{depth}" for depth in range(len(layers))])

    @property
    def encoder(self) -> nn.Module | None:
        """The module before the first layer."""
        return self.base["encoder"] if len(self.base) else None

    @property
    def feature_dim(self) -> int:
        """Length D of the features."""
        return math.prod(self.slot_list[-1].out_shape)

    def encode(self, x: Tensor) -> Tensor:
        """Return what the first layer reads."""
        x = floats(x)
        return x if self.encoder is None else self.encoder(x)

    def raw(self, z: Tensor) -> Tensor:
        """Return the input of the first layer as rows (B, D)."""
        return z.flatten(1)

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, D) of rows for the task of the context."""
        z = self.encode(x)
        for layer in self.slot_list:
            z = layer(z)
        return z.flatten(1)

    def stages(self, task: int) -> list[Stage]:
        """Return a task's path stage by stage.

        A layer is split into its expert's stages where the task has one expert there and nothing is
        added to its output; else it is one stage, which depends on the task.
        """
        found: list[Stage] = []
        for layer in self.slot_list:
            if _is_direct(layer, task):
                (id_,) = layer.assigned[task]
                found += [Stage(stage, stage) for stage in stages_of(layer.pool[id_])]
            else:
                found.append(Stage((layer, task), _Routed(layer, task)))
        return found

    def candidate(self, z: Tensor, kept: int, task: int | None) -> Tensor:
        """Return the output of the kept layers."""
        with self.context.of(task):
            for layer in self.slot_list[:kept]:
                z = layer(z)
        return z

    def run_candidate(self, z: Tensor, experts: Sequence[nn.Module], task: int | None) -> Tensor:
        """Return features (B, D) with other experts in the last layers."""
        layers = self.slot_list[len(self.layers) - len(experts) :]
        given = {layer.name: expert for layer, expert in zip(layers, experts, strict=True)}
        with self.context.of(task, given):
            for layer in layers:
                z = layer(z)
        return z.flatten(1)

    def encoders(self) -> dict[str, nn.Module]:
        """Return the encoder."""
        return dict(self.base.items())

    def modules_for(self, task: int) -> list[nn.Module]:
        """Return one module per layer."""
        return [experts_for(layer, task) for layer in self.slot_list]

    def stage_modules(self, task: int) -> list[nn.Module]:
        """Return one module per stage, see :meth:`stages`."""
        found: list[nn.Module] = []
        for layer in self.slot_list:
            if _is_direct(layer, task):
                found += stages_of(layer.pool[layer.assigned[task][0]])
            else:
                found.append(experts_for(layer, task))
        return found


class _Routed:
    """A layer of experts, for the rows of one task."""

    def __init__(self, layer: MoELayer, task: int) -> None:
        self.layer, self.task = layer, task

    def __call__(self, z: Tensor) -> Tensor:
        with self.layer.context.of(self.task):
            made: Tensor = self.layer(z)
        return made


def _is_direct(layer: MoELayer, task: int) -> bool:
    """Tell whether a layer's output for a task is that of the task's only expert."""
    ids = layer.assigned[task]
    return len(ids) == 1 and layer.gate.task_aware and layer.shared is None
