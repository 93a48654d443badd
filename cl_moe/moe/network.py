"""The network: an encoder, layers of experts, one head a task."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence

import torch
from torch import Tensor, nn

from cl_moe.moe.experts.base import make_module, stages_of
from cl_moe.moe.extract import task_module
from cl_moe.moe.features import PathReader
from cl_moe.moe.freezing import Shelf
from cl_moe.moe.heads import RAW, Block, EvidenceHead
from cl_moe.moe.layer import MoELayer
from cl_moe.seeding import derive

__all__ = ("MoENetwork", "Path")

Path = tuple[tuple[str, ...], ...]
"""The ids of a task's experts, layer by layer."""


class MoENetwork(nn.Module):
    """A sparse mixture of experts that knows which task its rows belong to.

    Args:
        layers: MoE layers from the input up; each takes what the one below gives.
        encoder: a module before the first layer, shared by all tasks; None for none. It learns with
            the first task and is frozen then.
        seed: where the heads' initial parameters are derived from.

    Attributes:
        first_on: for each path, the task that stands for it: the first that learned it.

    >>> from cl_moe.moe.experts.mlp import MLPExpert
    >>> from cl_moe.moe.gates.task import TaskGate
    >>> layer = MoELayer(MLPExpert([8]).stages()[0], TaskGate(4), (4,), experts=2)
    >>> network = MoENetwork([layer])
    >>> network.add_task(0, [["e1"]], network.new_head(0, n_classes=3))
    >>> network(torch.rand(5, 4), task=0).shape
    torch.Size([5, 3])
    """

    def __init__(
        self, layers: Iterable[MoELayer], encoder: nn.Module | None = None, seed: int = 0
    ) -> None:
        super().__init__()
        self.encoder = encoder
        self.layers = nn.ModuleList(layers)
        self.heads = Shelf()
        self.seed = seed
        self.first_on: dict[Path, int] = {}

    @property
    def feature_dim(self) -> int:
        """Length of the features that heads read."""
        return math.prod(self.moe_layers[-1].out_shape)

    @property
    def moe_layers(self) -> list[MoELayer]:
        """The layers, typed."""
        return list(self.layers)  # type: ignore[arg-type]

    @property
    def tasks(self) -> list[int]:
        """Labels of the tasks that can be answered, in order of arrival."""
        return [int(label) for label in self.heads]

    def path(self, task: int) -> Path:
        """Return the ids of the experts assigned to a task, layer by layer."""
        return tuple(layer.assigned[task] for layer in self.moe_layers)

    def owns_path(self, task: int) -> bool:
        """Tell whether a task runs through the layers (not answered from earlier paths)."""
        return not isinstance(self.heads[str(task)], EvidenceHead)

    def reads(self, task: int) -> list[int]:
        """Return the tasks whose paths a task is answered through: itself, or those it averages."""
        head = self.heads[str(task)]
        if isinstance(head, EvidenceHead):
            return [source for source in head.shares if source != RAW.task]
        return [task]

    def n_classes(self, task: int) -> int:
        """Return the number of classes of a task."""
        head = self.heads[str(task)]
        if isinstance(head, EvidenceHead):
            return head.n_classes
        assert isinstance(head, nn.Linear)
        return head.out_features

    def new_head(self, task: int, n_classes: int) -> nn.Linear:
        """Return a fresh linear head for a task, which is not part of the network yet."""
        head = make_module(
            lambda shape: nn.Linear(shape[0], n_classes),
            (self.feature_dim,),
            derive(self.seed, "head", task),
        )
        assert isinstance(head, nn.Linear)
        return head

    def add_task(self, task: int, path: Sequence[Sequence[str]], head: nn.Module) -> None:
        """Take in a task: the experts it may use in each layer, and its head.

        ``path`` is empty for a task that is answered from earlier paths by an evidence head.
        """
        assert str(task) not in self.heads, f"task {task} is known already"
        assert len(path) == (0 if isinstance(head, EvidenceHead) else len(self.layers)), path
        for layer, experts in zip(self.moe_layers, path, strict=False):
            layer.assign(task, experts)
        self.heads[str(task)] = head
        if self.owns_path(task):
            self.first_on.setdefault(self.path(task), task)

    def encode(self, x: Tensor) -> Tensor:
        """Return what the first layer reads."""
        return x if self.encoder is None else self.encoder(x)

    def features(self, x: Tensor, task: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Run a task's path.

        Returns:
            Features (B, D) and the sum of each auxiliary loss over the layers.
        """
        z = self.encode(x)
        losses: dict[str, Tensor] = {}
        for layer in self.moe_layers:
            z, routing = layer(z, task)
            for name, loss in routing.losses.items():
                losses[name] = losses[name] + loss if name in losses else loss
        return z.flatten(1), losses

    def inner_stages(self, task: int) -> int:
        """Return how many outputs of stages a task's path has below its features."""
        return len(self.stages(task)) - 1

    def blocks(self, x: Tensor, wanted: Iterable[Block]) -> dict[Block, Tensor]:
        """Return what earlier paths make of rows, each path run once: (B, D) a block.

        See :class:`~cl_moe.moe.features.PathReader`, which reads the same rows several times.
        """
        return PathReader(self, x).blocks(wanted)

    def route(self, task: int) -> int:
        """Return the task that stands for the path a task runs, -1 where that is the raw input.

        It is the first task on that path. A task answered from earlier paths stands for itself
        where it reads more than one, or one through a lens.
        """
        head = self.heads[str(task)]
        if isinstance(head, EvidenceHead):
            read = [block for block in head.blocks if block.task != RAW.task]
            runs = {self.route(block.task) for block in read} - {RAW.task}
            its_own = len(runs) > 1 or any(block.lens for block in read)
            return task if its_own else next(iter(runs), RAW.task)
        return self.first_on[self.path(task)]

    def stages(self, task: int) -> list[nn.Module]:
        """Return a task's path as modules to call in turn.

        A layer is told apart into its expert's stages where the task has one expert there and
        nothing is added to what that gives; else it is one stage.
        """
        stages: list[nn.Module] = []
        for layer in self.moe_layers:
            ids = layer.assigned[task]
            direct = len(ids) == 1 and layer.gate.task_aware and layer.shared is None
            stages += stages_of(layer.pool[ids[0]]) if direct else [layer]
        return stages

    def forward(self, x: Tensor, task: int) -> Tensor:
        """Return the logits (B, C) of one task for its rows."""
        return self.answer(x, task)[0]

    def answer(self, x: Tensor, task: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the logits (B, C) of one task, and the auxiliary losses of the pass."""
        head = self.heads[str(task)]
        if isinstance(head, EvidenceHead):
            return head(self.blocks(x, head.blocks)), {}
        features, losses = self.features(x, task)
        return head(features), losses

    def for_task(self, task: int) -> nn.Module:
        """Return a module of its own that answers one task: a copy of what the task uses, no more.

        Where a layer has one expert for the task, that is an ``nn.Sequential`` of the encoder, an
        expert a layer, and the head. Experts whose weights are the same for all rows are summed
        with these weights; a gate that looks at rows comes along, with the task fixed
        (:class:`~cl_moe.moe.extract.RoutedExperts`). A task answered by an evidence head takes
        the paths that this reads, as far up as it reads them.

        The module takes rows x (B, ...) and gives logits (B, C), those of the network to 1e-6. It
        is in evaluation mode and takes no gradients, learns nothing more when the network does, and
        can be exported (``torch.export.export``, ``torch.onnx.export``).

        Raises:
            InputError: the network does not know the task.

        >>> from cl_moe.moe.experts.mlp import MLPExpert
        >>> from cl_moe.moe.gates.task import TaskGate
        >>> layer = MoELayer(MLPExpert([8]).stages()[0], TaskGate(4), (4,), experts=2)
        >>> network = MoENetwork([layer])
        >>> network.add_task(0, [["e1"]], network.new_head(0, n_classes=3))
        >>> answer, x = network.for_task(0), torch.rand(5, 4)
        >>> torch.allclose(answer(x), network(x, task=0), atol=1e-6)
        True
        >>> sum(p.numel() for p in answer.parameters())  # of one expert and the head
        67
        """
        return task_module(self, task)

    def depends_on(self, task: int) -> Iterator[nn.Module | Tensor]:
        """Yield all that can change a task's answers: its path, or those that its head reads."""
        if self.encoder is not None:
            yield self.encoder
        ahead, reached = [task], {RAW.task}
        while ahead:
            now = ahead.pop()
            if now in reached:
                continue
            reached.add(now)
            head = self.heads[str(now)]
            yield head
            if isinstance(head, EvidenceHead):
                ahead += [block.task for block in head.blocks]
                continue
            for layer in self.moe_layers:
                yield from layer.depends_on(now)

    @torch.no_grad()
    def usage(self, x: Tensor, task: int) -> list[dict[str, float]]:
        """Return, layer by layer, the share of a task's weight that each expert gets on rows x."""
        head = self.heads[str(task)]
        if isinstance(head, EvidenceHead):
            return self._borrowed_usage(x, head)
        z, shares = self.encode(x), []
        for layer in self.moe_layers:
            ids = layer.offered(task)
            z, routing = layer(z, task)
            use = routing.usage(len(ids))
            use = use / use.sum().clamp_min(1e-12)
            shares.append(
                {id_: share for id_, share in zip(ids, use.tolist(), strict=True) if share}
            )
        return shares

    def _borrowed_usage(self, x: Tensor, head: EvidenceHead) -> list[dict[str, float]]:
        shares: list[dict[str, float]] = [{} for _ in self.layers]
        for source, weight in head.shares.items():
            if source == RAW.task:
                continue
            for total, part in zip(shares, self.usage(x, source), strict=True):
                for id_, share in part.items():
                    total[id_] = total.get(id_, 0.0) + weight * share
        return shares
