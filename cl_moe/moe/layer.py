"""A layer of experts. Shape letters: B rows of a batch, K experts a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from cl_moe.moe.dispatch.grouped import grouped, why_not
from cl_moe.moe.experts.base import Shape, StageFactory, make_module, output_shape
from cl_moe.moe.gates.base import Gate
from cl_moe.moe.pool import ExpertPool
from cl_moe.moe.routing import Routing, weighted_sums
from cl_moe.seeding import derive, generator

__all__ = ("Dispatch", "MoELayer", "combine")

Dispatch = Literal["sorted", "grouped"]
"""How rows that go to different experts are run: see :class:`MoELayer`."""


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
        dispatch: how rows are run that do not all go to one expert. ``sorted`` calls each expert
            that has rows once, on these, and leaves the others alone; the program waits for the
            device to learn who has rows. ``grouped`` does not wait: it runs equal perceptrons in
            one product a layer (:func:`~cl_moe.moe.dispatch.grouped.grouped`), for a GPU, where an
            expert that is trained but gets no rows has gradient 0 instead of none.
        resident: frozen experts that are kept at hand, see :class:`~cl_moe.moe.pool.ExpertPool`.

    Raises:
        ValueError: the experts cannot be grouped.

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
        dispatch: Dispatch = "sorted",
        resident: int | None = None,
    ) -> None:
        super().__init__()
        self.factory, self.in_shape, self.seed, self.dispatch = factory, in_shape, seed, dispatch
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
        expert = self.make_next() if expert is None else expert
        if self.dispatch == "grouped":
            first = [self.pool[id_] for id_ in self.pool.ids[:1]]
            if reason := why_not([*first, expert]):
                raise ValueError(f"dispatch: 'grouped' {reason}; give 'sorted'")
        id_ = self.pool.add(expert)
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
        y = combine(x, routing, [self.pool[id_] for id_ in ids], self.dispatch)
        if self.shared is not None:
            y = y + self.shared(x)
        return y, routing


def combine(
    x: Tensor, routing: Routing, experts: Sequence[nn.Module], dispatch: Dispatch = "sorted"
) -> Tensor:
    """Return the weighted sums of the chosen experts' outputs, (B, *out_shape).

    Experts that no row is sent to are not run and get no gradient, with ``sorted`` dispatch.

    >>> routing = Routing(torch.tensor([[0.5], [1.0]]), torch.tensor([[0], [1]]))
    >>> combine(torch.tensor([[2.0], [-2.0]]), routing, [nn.Identity(), nn.ReLU()]).tolist()
    [[1.0], [0.0]]
    """
    if routing.shared and len(experts) == 1:
        return experts[0](x)  # type: ignore[no-any-return]
    if dispatch == "grouped":
        return grouped(x, routing, experts)
    return (_shared_choice if routing.shared else _by_row)(x, routing, experts)


def _shared_choice(x: Tensor, routing: Routing, experts: Sequence[nn.Module]) -> Tensor:
    """All rows go to the same experts: call each directly, nothing to sort."""
    parts = [
        weight * experts[chosen](x)
        for weight, chosen in zip(routing.weights[0], routing.chosen[0].tolist(), strict=True)
    ]
    return torch.stack(parts).sum(0)


def _by_row(x: Tensor, routing: Routing, experts: Sequence[nn.Module]) -> Tensor:
    """Sort the (row, expert) pairs by expert, so that each expert sees its rows at once."""
    ordered, order = routing.chosen.flatten().sort(stable=True)
    rows = order // routing.chosen.shape[1]
    present, counts = ordered.unique_consecutive(return_counts=True)
    # One gather cut into pieces: its gradient is one scatter, not one as large as x an expert.
    parts = x.index_select(0, rows).split(counts.tolist())
    y = torch.cat([experts[e](part) for e, part in zip(present.tolist(), parts, strict=True)])
    return weighted_sums(y, routing, order, len(x))
