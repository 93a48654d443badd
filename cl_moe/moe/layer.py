"""A slot: a place in a network where experts work. Shape letters: B rows of a batch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from torch import Tensor, nn

from cl_moe.moe.context import RoutingContext
from cl_moe.moe.dispatch.grouped import why_not
from cl_moe.moe.dispatch.ordered import Dispatch, combine
from cl_moe.moe.experts.base import Placement, Shape, StageFactory, make_module, output_shape
from cl_moe.moe.freezing import FreezableDict
from cl_moe.moe.gates.base import Gate
from cl_moe.moe.pool import ExpertPool
from cl_moe.seeding import derive, generator

__all__ = ("MoELayer",)


class MoELayer(nn.Module):
    """Sends the rows of one task to the experts that the gate chooses, and adds up their outputs.

    y = sum_{e chosen} g_e f_e(x), plus f_shared(x) where there is a shared expert. In somebody
    else's network a layer stands around a module of it, its *host* h (:class:`Slot`):
    ``replace`` gives y as above, ``add`` h(x) + y(x), ``output`` h(x) + y(h(x)). The task comes
    from the network's context (:class:`~cl_moe.moe.context.RoutingContext`); without a task a host
    gives what it would give by itself.

    Args:
        factory: makes an expert for inputs of ``in_shape``.
        gate: chooses among the experts on offer.
        in_shape: shape of a row; None where a host decides.
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
        placement: what experts do at a host.

    Attributes:
        name: the slot's name in its backbone.
        context: says which task the rows of a pass belong to.

    Raises:
        ValueError: the experts cannot be grouped.

    >>> import torch
    >>> from cl_moe.moe.experts.mlp import MLPExpert
    >>> from cl_moe.moe.gates.task import TaskGate
    >>> layer = MoELayer(MLPExpert([8]).stages()[0], TaskGate(4, k=2), (4,), experts=3)
    >>> layer.assign(0, layer.pool.ids)
    >>> with layer.context.of(task=0) as context:
    ...     layer(torch.rand(5, 4)).shape, context.routings[layer.name].weights.shape
    (torch.Size([5, 8]), torch.Size([1, 2]))
    """

    def __init__(
        self,
        factory: StageFactory,
        gate: Gate,
        in_shape: Shape | None,
        experts: int = 1,
        shared: bool = False,
        seed: int = 0,
        dispatch: Dispatch = "sorted",
        resident: int | None = None,
        placement: Placement = "replace",
    ) -> None:
        super().__init__()
        self.factory, self.in_shape, self.seed, self.dispatch = factory, in_shape, seed, dispatch
        self.name, self.context, self.placement = "layer", RoutingContext(), placement
        self.gate = gate
        self.pool = ExpertPool(resident)
        self.common = FreezableDict({"shared": self.make("shared")} if shared else None)
        self.assigned: dict[int, tuple[str, ...]] = {}
        for number in range(experts):
            self.add(self.make(str(number)))
        self.out_shape = () if in_shape is None else output_shape(self.make("probe"), in_shape)

    @property
    def shared(self) -> nn.Module | None:
        """The expert that all tasks use, if there is one."""
        return self.common["shared"] if len(self.common) else None

    def make(self, purpose: str) -> nn.Module:
        """Return a fresh expert that is not in the pool yet; ``purpose`` decides its parameters."""
        shape = () if self.in_shape is None else self.in_shape
        return make_module(self.factory, shape, derive(self.seed, "expert", purpose))

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

    def forward(self, x: Tensor, *args: Any, host: nn.Module | None = None, **kwargs: Any) -> Any:
        """Return the combined outputs, (B, *out_shape), for the task of the context.

        Args:
            x: rows (B, ...).
            args: what else the host is called with; experts in its place are, too.
            host: the module that the layer stands around.
            kwargs: the same.
        """
        if host is None:
            y = self._mixed(x)
            return y if self.shared is None else y + self.shared(x)
        if self.context.task is None and self.name not in self.context.experts:
            return host(x, *args, **kwargs)
        if self.placement == "replace":
            return self._mixed(x, *args, **kwargs)
        y = host(x, *args, **kwargs)
        first = y[0] if isinstance(y, tuple) else y
        first = first + self._mixed(x if self.placement == "add" else first)
        return (first, *y[1:]) if isinstance(y, tuple) else first

    def _mixed(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        stand_in = self.context.experts.get(self.name)
        if stand_in is not None:
            return stand_in(x, *args, **kwargs)
        task = self.context.task
        assert task is not None, f"slot '{self.name}': no task is set (see RoutingContext.of)"
        ids = self.offered(task)
        routing = self.gate(_pooled(x) if self.in_shape is None else x, task, ids)
        self.context.routings[self.name] = routing
        experts = [self.pool[id_] for id_ in ids]
        if args or kwargs:
            assert routing.shared, "a host with further arguments takes a gate that reads no rows"
            experts = [_Called(expert, args, kwargs) for expert in experts]
        return combine(x, routing, experts, self.dispatch)


class Slot(nn.Module):
    """Stands in a network where a module stood, and hands its rows to a layer of experts.

    The layer is not a part of it to torch: what is frozen with the network, the host, is held here,
    and what is trained elsewhere.

    Args:
        host: the module that stood there.
        layer: the experts around it.
    """

    def __init__(self, host: nn.Module, layer: MoELayer) -> None:
        super().__init__()
        self.host = host
        self._layer = (layer,)

    @property
    def layer(self) -> MoELayer:
        """The experts around the host."""
        return self._layer[0]

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return what host and experts make of rows."""
        return self.layer(x, *args, host=self.host, **kwargs)


class _Called:
    """An expert with what else it is called with."""

    def __init__(self, expert: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.expert, self.args, self.kwargs = expert, args, kwargs

    def __call__(self, x: Tensor) -> Any:
        return self.expert(x, *self.args, **self.kwargs)


def _pooled(x: Tensor) -> Tensor:
    """Return one vector a row: the mean over pixels (B, C, H, W) or over tokens (B, T, D)."""
    if x.dim() == 4:
        return x.mean((2, 3))
    return x.mean(1) if x.dim() == 3 else x
