"""PackNet's network: every weight belongs to one task, or is free."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call

from cl_moe.moe.dense import DenseNetwork, TaskNetwork
from cl_moe.moe.experts.base import Shape, StageFactory, make_module
from cl_moe.moe.freezing import modes_of, restore_modes
from cl_moe.seeding import derive

__all__ = ("PackedNetwork",)


class PackedNetwork(TaskNetwork):
    """A dense trunk whose weights are assigned to tasks one by one, and one head per task.

    Mallya & Lazebnik 2018, "PackNet: adding multiple tasks to a single network by iterative
    pruning". A task uses its own weights and those of earlier tasks; all others are masked to zero,
    so that later training cannot change its predictions. Biases and the scales and shifts of
    normalisation (all parameters with up to one dimension) are trained on the first task and then
    frozen. Running statistics carry over from one task to the next; each task keeps a copy of its
    final ones.

    Args:
        trunk: makes the trunk for inputs of ``in_shape``.
        in_shape: shape of a row.
        seed: seed of the initial parameters.

    >>> from cl_moe.moe.experts.base import cut
    >>> from cl_moe.moe.experts.mlp import MLPExpert
    >>> network = PackedNetwork(*cut(MLPExpert([8]).stages(), 1), in_shape=(4,))
    >>> network.add_task(0, n_classes=2)
    >>> network.pack(0.25)
    >>> network.active_parameters(0)  # 8 of 32 weights, 8 biases, 18 of the head
    34
    >>> network(torch.rand(5, 4), 0).shape
    torch.Size([5, 2])
    """

    def __init__(self, trunk: StageFactory, in_shape: Shape, seed: int = 0) -> None:
        super().__init__()
        self.packed_tasks: Tensor
        start = DenseNetwork(trunk, in_shape, seed)  # the same initial weights
        self.trunk, self.feature_dim, self.seed = start.trunk, start.feature_dim, seed
        self.register_buffer("packed_tasks", torch.zeros((), dtype=torch.int64))
        self._names = [name for name, p in self.trunk.named_parameters() if p.ndim > 1]
        self._statistics = [name for name, _ in self.trunk.named_buffers()]
        for position, name in enumerate(self._names):
            # 0 is free, k belongs to the k-th task
            shape = self.trunk.get_parameter(name).shape
            self.register_buffer(f"owner_{position}", torch.zeros(shape, dtype=torch.int16))

    @property
    def packed(self) -> bool:
        """Whether weights are assigned to the newest task; part of the saved state."""
        return int(self.packed_tasks) == len(self.heads)

    def add_task(self, task: int, n_classes: int) -> None:
        """Add a task: it trains all free weights, and uses those of earlier tasks."""
        assert self.packed, "pack the weights of the last task first"
        self.heads.requires_grad_(False)
        if len(self.heads):
            for parameter in self.trunk.parameters():
                parameter.requires_grad_(parameter.ndim > 1)
            for position, buffer in enumerate(self.trunk.buffers()):
                name = self._kept(list(self.heads)[-1], position)
                self.register_buffer(name, buffer.clone())
        self.heads[str(task)] = make_module(
            lambda shape: nn.Linear(shape[0], n_classes),
            (self.feature_dim,),
            derive(self.seed, "head", task),
        )

    def reopen(self, task: int) -> None:
        """Make the head of a recurring task trainable; the weights stay fixed."""
        self.requires_grad_(False)
        self.heads[str(task)].requires_grad_(True)

    @torch.no_grad()
    def pack(self, share: float) -> None:
        """Assign the newest task its ``share`` of each layer's free weights, by magnitude.

        The other free weights are set to zero for the next task.
        """
        assert not self.packed, "there is no task to pack"
        for weight, owner in self._weights():
            free = owner == 0
            size = round(share * int(free.sum()))
            magnitude = torch.where(free, weight.abs(), -1.0).flatten()
            owner.view(-1)[magnitude.topk(size).indices] = len(self.heads)
            weight[owner == 0] = 0.0
        self.packed_tasks.fill_(len(self.heads))

    def restore_task(self, task: int, n_outputs: int) -> None:
        """Add a task of a saved network; the assignment of weights is in the tensors."""
        self.add_task(task, n_outputs)
        self.pack(0.0)

    def trainable(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Yield each weight of the trunk with the mask of its trainable elements."""
        mine = len(self.heads) if self.packed else 0
        for weight, owner in self._weights():
            yield weight, owner == mine

    def branch(self, z: Tensor, task: int) -> Tensor:
        """Return the logits (B, C) of one task; finished tasks run in evaluation mode."""
        finished = self._is_finished(task)
        modes = modes_of(self.trunk) if finished and self.trunk.training else []
        restore_modes((module, False) for module, _ in modes)
        features = functional_call(self.trunk, self._seen(task), (z,)).flatten(1)
        restore_modes(modes)
        logits: Tensor = self.heads[str(task)](features)
        return logits

    def depends_on(self, task: int) -> Iterator[nn.Module | Tensor]:
        """Yield all that a task's predictions depend on; of the weights, the masked ones."""
        yield self.heads[str(task)]
        seen = self._seen(task)
        for name, tensor in (*self.trunk.named_parameters(), *self.trunk.named_buffers()):
            # a masked negative weight is -0.0, which + 0.0 makes 0.0
            yield seen[name] + 0.0 if name in self._names else seen.get(name, tensor)

    def active_parameters(self, task: int) -> int:
        """Return the number of parameters that a task's predictions depend on."""
        weights = sum(int(self._visible(owner, task).sum()) for _, owner in self._weights())
        vectors = sum(p.numel() for p in self.trunk.parameters() if p.ndim <= 1)
        return weights + vectors + sum(p.numel() for p in self.heads[str(task)].parameters())

    def _seen(self, task: int) -> dict[str, Tensor]:
        """Return, by name, the trunk's tensors with a task's own values.

        Weights of later tasks are masked to zero; running statistics are the task's.
        """
        weights = {
            name: weight * self._visible(owner, task)
            for name, (weight, owner) in zip(self._names, self._weights(), strict=True)
        }
        own = enumerate(self._statistics) if self._is_finished(task) else ()
        return weights | {name: getattr(self, self._kept(str(task), p)) for p, name in own}

    def _is_finished(self, task: int) -> bool:
        """Tell whether there is a later task."""
        return str(task) != list(self.heads)[-1]

    def _kept(self, task: str, position: int) -> str:
        """Return the name of a task's copy of running statistics."""
        return f"kept_{task}_{position}"

    def _visible(self, owner: Tensor, task: int) -> Tensor:
        position = list(self.heads).index(str(task)) + 1
        learning = position == len(self.heads) and not self.packed
        return (owner <= position) & (owner >= (0 if learning else 1))

    def _weights(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        for position, name in enumerate(self._names):
            yield self.trunk.get_parameter(name), getattr(self, f"owner_{position}")
