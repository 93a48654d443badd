"""A slot: a named place for experts in a network. Shape letters: B rows of a batch."""

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
    """Routes the rows of one task to the experts that the gate chooses, and sums their outputs.

    y = sum_{e chosen} g_e f_e(x), plus f_shared(x) where there is a shared expert. In a network of
    another package a layer wraps one of its modules, the *host* h (:class:`Slot`): ``replace``
    gives y as above, ``add`` h(x) + y(x), ``output`` h(x) + y(h(x)). The task comes from the
    network's context (:class:`~cl_moe.moe.context.RoutingContext`); without a task the output is
    the host's.

    Args:
        factory: makes an expert for inputs of ``in_shape``.
        gate: chooses among the experts on offer.
        in_shape: shape of a row; None where the host determines it.
        experts: initial number of experts.
        shared: whether an expert that all tasks use is added. It is trained on the first task and
            then frozen, since training on later tasks would make it forget.
        seed: where the experts' initial parameters are derived from.
        dispatch: how rows are sent to several experts. ``sorted`` calls each expert that has rows
            once, on these rows; the host program waits for the device for the numbers of rows.
            ``grouped`` does not wait: it runs equal perceptrons in one product per layer
            (:func:`~cl_moe.moe.dispatch.grouped.grouped`), for a GPU, where an expert that is
            trained but gets no rows has gradient 0 instead of none.
        resident: number of frozen experts kept in memory, see :class:`~cl_moe.moe.pool.ExpertPool`.
        placement: how expert outputs are combined with the host's.

    Attributes:
        name: the slot's name in its backbone.
        context: holds the task of the current pass.

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
        """The expert that all tasks share, if there is one."""
        return self.common["shared"] if len(self.common) else None

    @property
    def shapes(self) -> tuple[Shape, Shape] | None:
        """Input and output shape of an expert, without the batch; None while unknown."""
        if self.in_shape is not None:
            return self.in_shape, self.out_shape
        found: tuple[Shape, ...] = getattr(self.factory, "sizes").shapes  # noqa: B009 - of a host
        if not found:
            return None
        return (found[1], found[1]) if self.placement == "output" else (found[0], found[1])

    def make(self, purpose: str) -> nn.Module:
        """Return a fresh expert that is not in the pool yet; ``purpose`` seeds its parameters."""
        shape = () if self.in_shape is None else self.in_shape
        return make_module(self.factory, shape, derive(self.seed, "expert", purpose))

    def make_next(self) -> nn.Module:
        """Return a fresh expert for a task that grows one.

        Its initial parameters are those of the first expert, and of the ``single_task`` baseline:
        later differences come from sharing, not from initialisation.
        """
        return self.make("0")

    def add(self, expert: nn.Module | None = None) -> str:
        """Add an expert (a fresh one by default) to the pool and the gate; return its id."""
        expert = self.make_next() if expert is None else expert
        if self.dispatch == "grouped":
            first = [self.pool[id_] for id_ in self.pool.ids[:1]]
            if reason := why_not([*first, expert]):
                raise ValueError(f"dispatch: 'grouped' {reason}; give 'sorted'")
        id_ = self.pool.add(expert)
        self.gate.add_expert(id_, generator(self.seed, "gate", id_))
        return id_

    def assign(self, task: int, experts: Sequence[str]) -> None:
        """Assign a task the experts that it may use; it can be done once."""
        assert task not in self.assigned, f"task {task} has its experts already"
        assert experts, "a task needs an expert"
        assert all(id_ in self.pool for id_ in experts), experts
        self.assigned[task] = tuple(experts)
        self.gate.add_task(task, experts, generator(self.seed, "gate", "task", task))

    def offered(self, task: int) -> list[str]:
        """Return the ids that the gate may choose from for a task."""
        return list(self.assigned[task]) if self.gate.task_aware else self.pool.ids

    def depends_on(self, task: int) -> Iterator[nn.Module | Tensor]:
        """Yield the modules and tensors that the layer's output for a task depends on."""
        ids = self.offered(task)
        yield from (self.pool.experts[id_] for id_ in ids)  # one that is away says what it holds
        yield from self.gate.depends_on(task, ids)
        if self.shared is not None:
            yield self.shared

    def forward(self, x: Tensor, *args: Any, host: nn.Module | None = None, **kwargs: Any) -> Any:
        """Return the combined outputs, (B, *out_shape), for the task of the context.

        Args:
            x: rows (B, ...).
            args: further arguments of the host, passed on to experts that replace it.
            host: the wrapped module.
            kwargs: further keyword arguments, likewise.
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
        experts: list[Any] = [self.pool[id_] for id_ in ids]
        if args or kwargs:
            assert routing.shared, "a host with further arguments takes a gate that reads no rows"
            experts = [_Called(expert, args, kwargs) for expert in experts]
        return combine(x, routing, experts, self.dispatch)


class Slot(nn.Module):
    """Replaces a module of a network, and passes its rows to a layer of experts.

    For torch the layer is not a submodule: the host is frozen with the network, the layer is
    trained elsewhere.

    Args:
        host: the replaced module.
        layer: the layer of experts that wraps it.
    """

    def __init__(self, host: nn.Module, layer: MoELayer) -> None:
        super().__init__()
        self.host = host
        self._layer = (layer,)

    @property
    def layer(self) -> MoELayer:
        """The layer of experts that wraps the host."""
        return self._layer[0]

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Return the combined output of host and experts."""
        return self.layer(x, *args, host=self.host, **kwargs)


class _Called:
    """An expert with fixed further arguments."""

    def __init__(self, expert: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        self.expert, self.args, self.kwargs = expert, args, kwargs

    def __call__(self, x: Tensor) -> Any:
        return self.expert(x, *self.args, **self.kwargs)


def _pooled(x: Tensor) -> Tensor:
    """Return one vector per row: the mean over pixels (B, C, H, W) or over tokens (B, T, D)."""
    if x.dim() == 4:
        return x.mean((2, 3))
    return x.mean(1) if x.dim() == 3 else x
