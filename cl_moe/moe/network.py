"""The network: a backbone with slots for experts, and one head per task."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

import torch
from torch import Tensor, nn

from cl_moe.arguments import checked
from cl_moe.moe.backbones.base import Backbone
from cl_moe.moe.blocks import OWN, RAW, Block
from cl_moe.moe.experts.base import make_module
from cl_moe.moe.extract import unknown_task
from cl_moe.moe.features import PathReader
from cl_moe.moe.freezing import FreezableDict
from cl_moe.moe.heads.base import Head
from cl_moe.moe.heads.linear import LinearHead
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.task_module import task_module
from cl_moe.seeding import derive

__all__ = ("MoENetwork", "Path")

Path = tuple[tuple[str, ...], ...]
"""The ids of a task's experts, slot by slot."""


class MoENetwork(nn.Module):
    """A task-aware sparse mixture of experts.

    Args:
        backbone: a network with slots for experts.
        seed: where the heads' initial parameters are derived from.
        head: makes a task's head from the number of features and the number of outputs.

    Attributes:
        first_on: for each path, the first task that was assigned it, which represents the path.

    >>> from cl_moe.moe.backbones.chain import Chain
    >>> from cl_moe.moe.experts.mlp import MLPExpert
    >>> from cl_moe.moe.gates.task import TaskGate
    >>> layer = MoELayer(MLPExpert([8]).stages()[0], TaskGate(4), (4,), experts=2)
    >>> network = MoENetwork(Chain([layer]))
    >>> network.add_task(0, [["e1"]], network.new_head(0, n_outputs=3))
    >>> network(torch.rand(5, 4), task=0).shape
    torch.Size([5, 3])
    """

    @checked()
    def __init__(self, backbone: Backbone, seed: int = 0, head: type[Head] = LinearHead) -> None:
        super().__init__()
        self.backbone = backbone
        self.heads = FreezableDict()
        self.seed, self.head_kind = seed, head
        self.first_on: dict[Path, int] = {}

    @property
    def moe_layers(self) -> list[MoELayer]:
        """The layers of experts, in the order in which they run."""
        return self.backbone.slot_list

    @property
    def tasks(self) -> list[int]:
        """Labels of the learned tasks, in order of arrival."""
        return list(map(int, self.heads))

    def head(self, task: int) -> Head:
        """Return the head of a task."""
        head: Head = self.heads[str(task)]  # type: ignore[assignment]
        return head

    def path(self, task: int) -> Path:
        """Return the ids of the experts assigned to a task, slot by slot."""
        return tuple(layer.assigned[task] for layer in self.moe_layers)

    def owns_path(self, task: int) -> bool:
        """Tell whether a task has a path of its own, rather than a head on earlier paths."""
        return self.head(task).reads_own_path

    def reads(self, task: int) -> list[int]:
        """Return the tasks whose paths a task's head reads: itself, or its ensemble's tasks."""
        if self.owns_path(task):
            return [task]
        return [source for source in self.head(task).sources if source != RAW.task]

    def n_classes(self, task: int) -> int:
        """Return the number of outputs of a task."""
        return self.head(task).n_outputs

    def new_head(self, task: int, n_outputs: int) -> Head:
        """Return a fresh head for a task; it is not part of the network yet."""
        if self.head_kind.serves_all:
            shared = (head for head in map(self.head, self.tasks) if head.serves_all)
            if (first := next(shared, None)) is not None:
                return first.for_later_task(n_outputs)
        head: Head = make_module(  # type: ignore[assignment]
            lambda shape: self.head_kind(*shape, n_outputs),
            (self.backbone.feature_dim,),
            derive(self.seed, "head", task),
        )
        return head

    def add_task(self, task: int, path: Sequence[Sequence[str]], head: Head) -> None:
        """Add a task with its head and the experts that it may use in each slot.

        ``path`` is empty for a task whose head reads earlier paths.
        """
        assert str(task) not in self.heads, f"task {task} is known already"
        assert len(path) == (len(self.moe_layers) if head.reads_own_path else 0), path
        for layer, experts in zip(self.moe_layers, path, strict=False):
            layer.assign(task, experts)
        self.heads[str(task)] = head
        if self.owns_path(task):
            self.first_on.setdefault(self.path(task), task)

    def widen_head(self, task: int, n_outputs: int) -> None:
        """Widen a task's head, if it has fewer outputs."""
        head = self.head(task)
        if head.n_outputs < n_outputs:
            self.heads[str(task)] = head.widened(n_outputs)

    def encode(self, x: Tensor) -> Tensor:
        """Return the input of the first stage, the same for all paths."""
        return self.backbone.encode(x)

    def features(self, x: Tensor, task: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Run a task's path.

        Returns:
            Features (B, D) and the sum of each auxiliary loss over the slots.
        """
        with self.backbone.context.of(task) as context:
            return self.backbone(x), context.losses()

    def inner_stages(self, task: int) -> int:
        """Return the number of stages of a task's path below its features."""
        return len(self.backbone.stages(task)) - 1

    def reader(self, x: Tensor) -> PathReader:
        """Return a reader of earlier paths for rows x, which runs each stage once."""
        return PathReader(self.backbone, self.heads, x)

    def blocks(self, x: Tensor, wanted: Iterable[Block]) -> dict[Block, Tensor]:
        """Return features of earlier paths, (B, D) for each block; each path runs once.

        See :class:`~cl_moe.moe.features.PathReader`, for several reads of the same rows.
        """
        return self.reader(x).blocks(wanted)

    def route(self, task: int) -> int:
        """Return the task that represents the path a task runs, -1 for the raw input.

        It is the first task that was assigned the path. A task whose head reads several earlier
        paths, or one under a symmetry, represents itself.
        """
        if self.owns_path(task):
            return self.first_on[self.path(task)]
        read = [block for block in self.head(task).blocks if block.task != RAW.task]
        runs = {self.route(block.task) for block in read} - {RAW.task}
        its_own = len(runs) > 1 or any(block.symmetry for block in read)
        return task if its_own else next(iter(runs), RAW.task)

    def forward(self, x: Tensor, task: int) -> Tensor:
        """Return the outputs (B, C) of one task for its rows."""
        return self.forward_with_losses(x, task)[0]

    def forward_with_losses(self, x: Tensor, task: int) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the outputs (B, C) of one task, and the auxiliary losses of the pass."""
        head = self.head(task)
        if not head.reads_own_path:
            return head(self.blocks(x, head.blocks)), {}
        features, losses = self.features(x, task)
        return head({OWN: features}), losses

    def for_task(self, task: int) -> nn.Module:
        """Return a stand-alone module for one task: a copy of the parts that the task uses.

        Where a layer of a chain has one expert for the task, that is an ``nn.Sequential`` of the
        encoder, one expert per layer, and the head. Experts whose weights are the same for all rows
        are summed with these weights; a gate that routes rows is included, with the task fixed
        (:class:`~cl_moe.moe.extract.RoutedExperts`). For a task whose head reads other tasks'
        paths, these are included up to the highest stage that is read.

        The module takes rows x (B, ...) and gives outputs (B, C), those of the network to 1e-6. It
        is in evaluation mode without gradients, is not changed by further training of the network,
        and can be exported (``torch.export.export``, ``torch.onnx.export``).

        Raises:
            InputError: the network does not know the task.

        >>> from cl_moe.moe.backbones.chain import Chain
        >>> from cl_moe.moe.experts.mlp import MLPExpert
        >>> from cl_moe.moe.gates.task import TaskGate
        >>> layer = MoELayer(MLPExpert([8]).stages()[0], TaskGate(4), (4,), experts=2)
        >>> network = MoENetwork(Chain([layer]))
        >>> network.add_task(0, [["e1"]], network.new_head(0, n_outputs=3))
        >>> answer, x = network.for_task(0), torch.rand(5, 4)
        >>> torch.allclose(answer(x), network(x, task=0), atol=1e-6)
        True
        >>> sum(p.numel() for p in answer.parameters())  # of one expert and the head
        67
        """
        if str(task) not in self.heads:
            raise unknown_task(task, self.tasks)
        return task_module(self.backbone, self.heads, task)

    def depends_on(self, task: int) -> Iterator[nn.Module | Tensor]:
        """Yield all that a task's predictions depend on: its path, or those its head reads."""
        yield from self.backbone.base.values()
        ahead, reached = [task], {RAW.task}
        while ahead:
            now = ahead.pop()
            if now in reached:
                continue
            reached.add(now)
            head = self.head(now)
            yield head
            if not head.reads_own_path:
                ahead += [block.task for block in head.blocks]
                continue
            for layer in self.moe_layers:
                yield from layer.depends_on(now)

    @torch.no_grad()
    def usage(self, x: Tensor, task: int) -> list[dict[str, float]]:
        """Return, for each slot, the share of the gate's weight that each expert gets on rows x."""
        if not self.owns_path(task):
            return self._usage_of_sources(x, self.head(task).sources)
        with self.backbone.context.of(task) as context:
            self.backbone(x)
            routings = context.routings
        shares = []
        for layer in self.moe_layers:
            ids = layer.offered(task)
            use = routings[layer.name].usage(len(ids))
            use = use / use.sum().clamp_min(1e-12)
            shares.append(
                {id_: share for id_, share in zip(ids, use.tolist(), strict=True) if share}
            )
        return shares

    def _usage_of_sources(self, x: Tensor, sources: Mapping[int, float]) -> list[dict[str, float]]:
        shares: list[dict[str, float]] = [{} for _ in self.moe_layers]
        for source, weight in sources.items():
            if source == RAW.task:
                continue
            for total, part in zip(shares, self.usage(x, source), strict=True):
                for id_, share in part.items():
                    total[id_] = total.get(id_, 0.0) + weight * share
        return shares
