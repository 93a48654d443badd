"""A layer of experts. Shape letters: B rows of a batch, K experts a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

from cl_moe.moe.experts.base import Shape, StageFactory, make_module, output_shape
from cl_moe.moe.gates.base import Gate
from cl_moe.moe.pool import ExpertPool
from cl_moe.moe.routing import Routing
from cl_moe.seeding import derive, generator

__all__ = ("MoELayer", "combine")


class MoELayer(nn.Module):
    """Sends the rows of one task to the experts that the gate chooses, and adds up their outputs.

    y = sum_{e chosen} g_e f_e(x), plus f_shared(x) where there is a shared expert.

    Args:
        factory: makes an expert for inputs of ``in_shape``.
        gate: chooses among the experts on offer.
        in_shape: shape of a row.
        experts: number of experts to begin with.
        shared: whether an expert that all tasks use is added (it learns with the first task, then
            is frozen, since whatever trains on later tasks forgets earlier ones).
        seed: where the experts' initial parameters are derived from.
        resident: frozen experts that are kept at hand, see :class:`~cl_moe.moe.pool.ExpertPool`.

    >>> from cl_moe.moe.experts.mlp import MLPExpert
    >>> from cl_moe.moe.gates.task import TaskGate
    >>> layer = MoELayer(MLPExpert([8]).stages()[0], TaskGate(4, k=2), (4,), experts=3)
    >>> layer.assign(0, layer.pool.ids)
    >>> y, routing = layer(torch.rand(5, 4), task=0)
    >>> y.shape, routing.weights.shape
    (torch.Size([5, 8]), torch.Size([1, 2]))
    """

    def __init__(
        self,
        factory: StageFactory,
        gate: Gate,
        in_shape: Shape,
        experts: int = 1,
        shared: bool = False,
        seed: int = 0,
        resident: int | None = None,
    ) -> None:
        super().__init__()
        self.factory, self.in_shape, self.seed = factory, in_shape, seed
        self.gate = gate
        self.pool = ExpertPool(resident)
        self.shared = self.make("shared") if shared else None
        self.assigned: dict[int, tuple[str, ...]] = {}
        for number in range(experts):
            self.add(self.make(str(number)))
        self.out_shape = output_shape(self.make("probe"), in_shape)

    def make(self, purpose: str) -> nn.Module:
        """Return a fresh expert that is not in the pool yet; ``purpose`` decides its parameters."""
        return make_module(self.factory, self.in_shape, derive(self.seed, "expert", purpose))

    def make_next(self) -> nn.Module:
        """Return a fresh expert for a task that grows one.

        It starts from the numbers of the first expert, which are those of a network that learns
        the task alone: what differs later is what was shared, not the luck of initialisation.
        """
        return self.make("0")

    def add(self, expert: nn.Module | None = None) -> str:
        """Take an expert (a fresh one by default) into the pool, tell the gate, return its id."""
        id_ = self.pool.add(self.make_next() if expert is None else expert)
        self.gate.add_expert(id_, generator(self.seed, "gate", id_))
        return id_

    def assign(self, task: int, experts: Sequence[str]) -> None:
        """Say which experts a task may use, once and for all."""
        assert task not in self.assigned, f"task {task} has its experts already"
        assert experts, "a task needs an expert"
        assert all(id_ in self.pool for id_ in experts), experts
        self.assigned[task] = tuple(experts)
        self.gate.add_task(task, experts, generator(self.seed, "gate", "task", task))

    def offered(self, task: int) -> list[str]:
        """Return the ids that the gate may choose from for a task."""
        return list(self.assigned[task]) if self.gate.task_aware else self.pool.ids

    def depends_on(self, task: int) -> Iterator[nn.Module | Tensor]:
        """Yield all that can change what the layer makes of a task's rows."""
        ids = self.offered(task)
        yield from (self.pool.experts[id_] for id_ in ids)  # one that is away says what it holds
        yield from self.gate.depends_on(task, ids)
        if self.shared is not None:
            yield self.shared

    def forward(self, x: Tensor, task: int) -> tuple[Tensor, Routing]:
        """Return the combined outputs, (B, *out_shape), and the routing that made them."""
        ids = self.offered(task)
        routing: Routing = self.gate(x, task, ids)
        y = combine(x, routing, [self.pool[id_] for id_ in ids])
        if self.shared is not None:
            y = y + self.shared(x)
        return y, routing


def combine(x: Tensor, routing: Routing, experts: Sequence[nn.Module]) -> Tensor:
    """Return the weighted sums of the chosen experts' outputs, (B, *out_shape).

    >>> routing = Routing(torch.tensor([[0.5], [1.0]]), torch.tensor([[0], [1]]))
    >>> combine(torch.tensor([[2.0], [-2.0]]), routing, [nn.Identity(), nn.ReLU()]).tolist()
    [[1.0], [0.0]]
    """
    return (_shared_choice if routing.shared else _by_row)(x, routing, experts)


def _shared_choice(x: Tensor, routing: Routing, experts: Sequence[nn.Module]) -> Tensor:
    """All rows go to the same experts: call each directly, nothing to sort."""
    if len(experts) == 1:
        return experts[0](x)  # type: ignore[no-any-return]
    parts = [
        weight * experts[chosen](x)
        for weight, chosen in zip(routing.weights[0], routing.chosen[0].tolist(), strict=True)
    ]
    return torch.stack(parts).sum(0)


def _by_row(x: Tensor, routing: Routing, experts: Sequence[nn.Module]) -> Tensor:
    """Sort the (row, expert) pairs by expert, so that each expert sees its rows at once."""
    order = routing.chosen.flatten().argsort(stable=True)
    rows = order // routing.chosen.shape[1]
    counts = routing.chosen.flatten().bincount(minlength=len(experts)).tolist()
    outputs = [experts[e](x[part]) for e, part in enumerate(rows.split(counts)) if part.numel()]
    y = torch.cat(outputs)
    weight = routing.weights.flatten()[order].view(-1, *[1] * (y.dim() - 1))
    empty = torch.zeros(x.shape[0], *y.shape[1:], dtype=y.dtype, device=y.device)
    return empty.index_add(0, rows, y * weight.to(y.dtype))
