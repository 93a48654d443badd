"""What is read on a path: its features, its answers, or what a stage of it puts out."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence

from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.moe.backbones.base import Backbone, Stage
from cl_moe.moe.blocks import OWN, RAW, Block
from cl_moe.moe.heads.base import Head
from cl_moe.moe.symmetry import Symmetry

__all__ = ("Part", "PathReader", "reach", "read_path", "read_predictions")

Part = str | int
"""As in :class:`~cl_moe.moe.blocks.Block`."""


def reach(parts: Collection[Part]) -> int | None:
    """Return how many of a path's stages must be run to read parts of it; None for all of them.

    >>> reach([0, 2]), reach([0, "features"])
    (3, None)
    """
    inner = [part for part in parts if isinstance(part, int)]
    return max(inner) + 1 if inner and len(inner) == len(parts) else None


def read_path(
    z: Tensor,
    stages: Sequence[Callable[[Tensor], Tensor]],
    head: Head | None,
    parts: Collection[Part],
) -> dict[Part, Tensor]:
    """Run a path once and return what is asked for, each (B, D).

    Args:
        z: what the first stage reads. With no stages at all it is itself the features.
        stages: those that must be run, from the input up.
        head: gives the path's answers; needed only where they are asked for.
        parts: what is asked for.

    >>> import torch
    >>> read_path(torch.ones(1, 2), [lambda z: 2 * z, lambda z: 3 * z], None, [0, "features"])
    {0: tensor([[2., 2.]]), 'features': tensor([[6., 6.]])}
    """
    values: dict[Part, Tensor] = {}
    for number, stage in enumerate(stages):
        z = stage(z)
        if number in parts:
            values[number] = _flat(z)
    features = z.flatten(1)
    if "features" in parts:
        values["features"] = features
    if "predictions" in parts or "log predictions" in parts:
        assert head is not None, "answers need a head"
        values.update(read_predictions(head({OWN: features}), parts))
    return values


def read_predictions(logits: Tensor, parts: Collection[Part]) -> dict[Part, Tensor]:
    """Return those of a task's answers, each (B, C), that are asked for.

    >>> import torch
    >>> read_predictions(torch.zeros(1, 2), ["predictions"])
    {'predictions': tensor([[0.5000, 0.5000]])}
    """
    forms = {"predictions": logits.softmax, "log predictions": logits.log_softmax}
    return {part: form(1) for part, form in forms.items() if part in parts}


class PathReader:
    """Reads earlier paths on the same rows; a stage that several tasks share is run once.

    Args:
        backbone: whose paths are read; must not change meanwhile.
        heads: the tasks' heads, by label as text.
        x: the rows (B, ...).

    Attributes:
        z: what the stages of paths read of them.

    >>> import torch
    >>> from cl_moe.moe.backbones.chain import Chain
    >>> from cl_moe.moe.experts.mlp import MLPExpert
    >>> from cl_moe.moe.gates.task import TaskGate
    >>> from cl_moe.moe.layer import MoELayer
    >>> from cl_moe.moe.network import MoENetwork
    >>> layer = MoELayer(MLPExpert([8]).stages()[0], TaskGate(4), (4,))
    >>> network = MoENetwork(Chain([layer]))
    >>> for task in (0, 1):
    ...     network.add_task(task, [["e0"]], network.new_head(task, n_outputs=3))
    >>> wanted = [Block(0), Block(1), Block(1, "predictions")]
    >>> found = network.reader(torch.rand(5, 4)).blocks(wanted)
    >>> found[Block(0)] is found[Block(1)], found[Block(1, "predictions")].shape
    (True, torch.Size([5, 3]))
    """

    def __init__(self, backbone: Backbone, heads: nn.ModuleDict, x: Tensor) -> None:
        self._backbone, self._heads, self.z = backbone, heads, backbone.encode(x)
        self._outputs: dict[tuple[object, ...], Tensor] = {}
        self._ready: dict[Block, Tensor] = {}

    def blocks(self, wanted: Iterable[Block]) -> dict[Block, Tensor]:
        """Return the values of blocks, (B, D) each.

        A task that is answered from other paths has answers, but no features of its own.
        """
        asked = list(wanted)
        missing = [block for block in asked if block not in self._ready]
        for task, symmetry in dict.fromkeys((block.task, block.symmetry) for block in missing):
            parts = {
                block.part for block in missing if (block.task, block.symmetry) == (task, symmetry)
            }
            for part, value in self._read(task, parts, symmetry).items():
                self._ready[Block(task, part, symmetry)] = value
        return {block: self._ready[block] for block in asked}

    def __getitem__(self, block: Block) -> Tensor:
        """Return a block's values, (B, D)."""
        return self.blocks([block])[block]

    def _read(
        self, task: int, parts: Collection[Part], symmetry: Symmetry | None
    ) -> dict[Part, Tensor]:
        if task == RAW.task:
            return {"features": self._backbone.raw(self.z)}
        head: Head = self._heads[str(task)]  # type: ignore[assignment]
        if not head.reads_own_path:
            assert symmetry is None, (
                "a symmetry is held before one path, not before an average of several"
            )
            return read_predictions(head(self.blocks(head.blocks)), parts)
        stages: list[Callable[[Tensor], Tensor]] = []
        prefix: tuple[object, ...] = (symmetry,)
        for stage in self._backbone.stages(task)[: reach(parts)]:
            prefix = (*prefix, stage.key)
            stages.append(self._once(stage, prefix))
        return read_path(self.z if symmetry is None else symmetry(self.z), stages, head, parts)

    def _once(self, stage: Stage, prefix: tuple[object, ...]) -> Callable[[Tensor], Tensor]:
        def run(z: Tensor) -> Tensor:
            if prefix not in self._outputs:
                self._outputs[prefix] = stage.run(z)
            return self._outputs[prefix]

        return run


def _flat(z: Tensor) -> Tensor:
    """Return a stage's output as rows; images are averaged over 2 x 2 pixels first."""
    pooled = F.avg_pool2d(z, 2, ceil_mode=True) if z.dim() == 4 else z
    return pooled.flatten(1)
