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
    """A dense trunk whose weights are given to tasks one by one, and one head a task.

    Mallya & Lazebnik 2018, "PackNet: adding multiple tasks to a single network by iterative
    pruning". A task sees its own weights and those of earlier tasks; all others are zero to it,
    whatever their value, so that nothing learned later can change its answers. Biases and what
    scales and shifts normalised values (all parameters with up to one dimension) learn with the
    first task and are fixed then. Running statistics go on from one task to the next; each task
    keeps those that it ended with.

    Args:
        trunk: makes the trunk for inputs of ``in_shape``.
        in_shape: shape of a row.
        seed: where initial parameters are derived from.

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
        """Whether the newest task has its weights. It goes with them when a state is loaded."""
        return int(self.packed_tasks) == len(self.heads)

    def add_task(self, task: int, n_classes: int) -> None:
        """Take in a task: it learns all free weights, and sees those of earlier tasks."""
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
        """Let the head of a task whose label came back learn on; the weights are fixed."""
        self.requires_grad_(False)
        self.heads[str(task)].requires_grad_(True)

    @torch.no_grad()
    def pack(self, share: float) -> None:
        """Give the newest task its ``share`` of each layer's free weights, by magnitude.

        The others become zero, and free for the next task.
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
        """Take in a task that was learned before; which weights are its own is in the tensors."""
        self.add_task(task, n_outputs)
        self.pack(0.0)

    def trainable(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        """Yield each weight of the trunk with the mask of what the newest task may change."""
        mine = len(self.heads) if self.packed else 0
        for weight, owner in self._weights():
            yield weight, owner == mine

    def branch(self, z: Tensor, task: int) -> Tensor:
        """Return the logits (B, C) of one task for its rows; a finished one is not in training."""
        finished = self._is_finished(task)
        modes = modes_of(self.trunk) if finished and self.trunk.training else []
        restore_modes((module, False) for module, _ in modes)
        features = functional_call(self.trunk, self._seen(task), (z,)).flatten(1)
        restore_modes(modes)
        logits: Tensor = self.heads[str(task)](features)
        return logits

    def depends_on(self, task: int) -> Iterator[nn.Module | Tensor]:
        """Yield all that can change a task's answers: of the weights, what it sees of them."""
        yield self.heads[str(task)]
        seen = self._seen(task)
        for name, tensor in (*self.trunk.named_parameters(), *self.trunk.named_buffers()):
            # a hidden weight below zero is -0.0 to the task, which + 0.0 makes 0.0
            yield seen[name] + 0.0 if name in self._names else seen.get(name, tensor)

    def active_parameters(self, task: int) -> int:
        """Return the number of parameters that a task's answers depend on."""
        weights = sum(int(self._visible(owner, task).sum()) for _, owner in self._weights())
        vectors = sum(p.numel() for p in self.trunk.parameters() if p.ndim <= 1)
        return weights + vectors + sum(p.numel() for p in self.heads[str(task)].parameters())

    def _seen(self, task: int) -> dict[str, Tensor]:
        """Return by name what a task sees of the trunk where that is not what stands there.

        Weights are zero where they are not the task's to see; running statistics are its own.
        """
        weights = {
            name: weight * self._visible(owner, task)
            for name, (weight, owner) in zip(self._names, self._weights(), strict=True)
        }
        own = enumerate(self._statistics) if self._is_finished(task) else ()
        return weights | {name: getattr(self, self._kept(str(task), p)) for p, name in own}

    def _is_finished(self, task: int) -> bool:
        """Tell whether a later task has come."""
        return str(task) != list(self.heads)[-1]

    def _kept(self, task: str, position: int) -> str:
        """Return where a task's running statistics are kept."""
        return f"kept_{task}_{position}"

    def _visible(self, owner: Tensor, task: int) -> Tensor:
        position = list(self.heads).index(str(task)) + 1
        learning = position == len(self.heads) and not self.packed
        return (owner <= position) & (owner >= (0 if learning else 1))

    def _weights(self) -> Iterator[tuple[nn.Parameter, Tensor]]:
        for position, name in enumerate(self._names):
            yield self.trunk.get_parameter(name), getattr(self, f"owner_{position}")
