"""One task's answer as a module of its own: only what the task uses, with nothing left to route.

What is made here is copied, in evaluation mode, and takes no gradients: it stays as it is however
the network goes on learning.
"""

from __future__ import annotations

import copy
from collections import OrderedDict
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.errors import InputError
from cl_moe.moe.features import Part, reach, read_answers, read_path
from cl_moe.moe.gates.base import Gate
from cl_moe.moe.heads import RAW, Block, EvidenceHead
from cl_moe.moe.layer import MoELayer, combine
from cl_moe.moe.routing import Routing
from cl_moe.moe.symmetry import Lens

if TYPE_CHECKING:
    from cl_moe.moe.network import MoENetwork

__all__ = (
    "FixedTask",
    "PooledAnswer",
    "RoutedExperts",
    "WeightedSum",
    "frozen_copy",
    "task_module",
    "unknown_task",
)


def task_module(network: MoENetwork, task: int) -> nn.Module:
    """Return what answers one task of a network; see :meth:`MoENetwork.for_task`.

    Raises:
        InputError: the network does not know the task.
    """
    if task not in network.tasks:
        raise unknown_task(task, network.tasks)
    modules: OrderedDict[str, nn.Module] = OrderedDict()
    if network.encoder is not None:
        modules["encoder"] = network.encoder
    head = network.heads[str(task)]
    if isinstance(head, EvidenceHead):
        modules["answer"] = _pooled(network, head)
    else:
        for depth, layer in enumerate(network.moe_layers):
            modules[f"layer{depth}"] = _experts(layer, task)
        modules["flatten"] = nn.Flatten()
        modules["head"] = head
    return frozen_copy(nn.Sequential(modules))


def frozen_copy(module: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode without gradients; what is shared within stays shared.

    >>> copied = frozen_copy(nn.Linear(2, 2))
    >>> copied.training, copied.weight.requires_grad
    (False, False)
    """
    return copy.deepcopy(module).eval().requires_grad_(False)


def unknown_task(task: int, known: Sequence[int]) -> InputError:
    """Return the error for a task that cannot be answered.

    >>> print(unknown_task(2, [0, 1]))
    task 2: has not been learned; those that can be answered are 0, 1
    """
    others = ", ".join(map(str, known)) or "none yet"
    return InputError(f"task {task}: has not been learned; those that can be answered are {others}")


class FixedTask(nn.Module):
    """A network that answers by task, with the task fixed.

    >>> class Shift(nn.Module):
    ...     def forward(self, x, task):
    ...         return x + task
    >>> FixedTask(Shift(), 2)(torch.zeros(1))
    tensor([2.])
    """

    def __init__(self, network: nn.Module, task: int) -> None:
        super().__init__()
        self.network, self.task = network, task

    def forward(self, x: Tensor) -> Tensor:
        """Return the logits (B, C) of the task."""
        logits: Tensor = self.network(x, self.task)
        return logits


class WeightedSum(nn.Module):
    """The sum of several experts' outputs, with weights that are the same for every row.

    >>> WeightedSum([nn.Identity(), nn.ReLU()], [0.5, 1.0])(torch.tensor([2.0]))
    tensor([3.])
    """

    def __init__(self, experts: Sequence[nn.Module], weights: Sequence[float]) -> None:
        super().__init__()
        assert len(experts) == len(weights) > 0, (len(experts), len(weights))
        self.experts, self.weights = nn.ModuleList(experts), tuple(weights)

    def forward(self, x: Tensor) -> Tensor:
        """Return the sum, (B, *out_shape)."""
        outputs = [w * expert(x) for w, expert in zip(self.weights, self.experts, strict=True)]
        return torch.stack(outputs).sum(0)

    def extra_repr(self) -> str:
        """Return the weights."""
        return f"weights={[round(weight, 3) for weight in self.weights]}"


class RoutedExperts(nn.Module):
    """Experts behind a gate that looks at rows, with the task fixed.

    Each row runs its k experts only. A traced graph (``torch.export``, ``torch.compile``, ONNX)
    cannot sort rows by what is in them: in it every expert runs on every row, and those that a row
    is not sent to count with weight 0. The answers are the same, the price is that of all experts.

    Args:
        gate: is copied, and keeps only what the task needs.
        task: task label.
        experts: those that the gate may choose from, by their ids.
    """

    def __init__(self, gate: Gate, task: int, experts: Mapping[str, nn.Module]) -> None:
        super().__init__()
        self.task, self.ids = task, list(experts)
        self.gate = _restricted(gate, task, self.ids)
        self.experts = nn.ModuleList(experts.values())

    def forward(self, x: Tensor) -> Tensor:
        """Return the combined outputs, (B, *out_shape)."""
        routing = self.gate(x, self.task, self.ids)
        if torch.compiler.is_compiling():
            return _all_run(x, routing, self.experts)
        return combine(x, routing, list(self.experts))


class PooledAnswer(nn.Module):
    """The answer of an :class:`EvidenceHead`, with just those paths and stages that it reads.

    Args:
        head: pools what is read.
        sources: for each task that is read (-1: the raw input) and the lens before it, a module
            that returns what is read of it, by part.

    >>> raw = _Path([], None, ["features"])
    >>> head = EvidenceHead({RAW: torch.eye(2)}, torch.zeros(2), {-1: 1.0})
    >>> PooledAnswer(head, {(-1, None): raw})(torch.tensor([[3.0, 4.0]])).tolist()
    [[3.0, 4.0]]
    """

    def __init__(
        self,
        head: EvidenceHead,
        sources: Mapping[tuple[int, Lens | None], _Path | _Answers],
    ) -> None:
        super().__init__()
        self.read, self.sources = list(sources), nn.ModuleList(sources.values())
        self.head = head

    def forward(self, z: Tensor) -> Tensor:
        """Return the logits (B, C) for what the encoder gives."""
        values = {
            Block(task, part, lens): value
            for (task, lens), source in zip(self.read, self.sources, strict=True)
            for part, value in source(z).items()
        }
        logits: Tensor = self.head(values)
        return logits


class _Path(nn.Module):
    """A path as far up as it is read, behind a lens if there is one."""

    def __init__(
        self,
        stages: Sequence[nn.Module],
        head: nn.Module | None,
        parts: Sequence[Part],
        lens: Lens | None = None,
    ) -> None:
        super().__init__()
        self.stages, self.parts = nn.ModuleList(stages[: reach(parts)]), tuple(parts)
        self.lens = lens
        self.head = head if {"answers", "log answers"} & set(parts) else None

    def forward(self, z: Tensor) -> dict[Part, Tensor]:
        z = z if self.lens is None else self.lens(z)
        return read_path(z, list(self.stages), self.head, self.parts)


class _Answers(nn.Module):
    """The answers of a task that is itself answered from other paths."""

    def __init__(self, answer: PooledAnswer, parts: Sequence[Part]) -> None:
        super().__init__()
        self.answer, self.parts = answer, tuple(parts)

    def forward(self, z: Tensor) -> dict[Part, Tensor]:
        return read_answers(self.answer(z), self.parts)


def _all_run(x: Tensor, routing: Routing, experts: Iterable[nn.Module]) -> Tensor:
    """Return what :func:`combine` does, by operations that do not depend on what is chosen."""
    outputs = torch.stack([expert(x) for expert in experts], dim=1)  # (B, E, *out_shape)
    chosen_BKE = F.one_hot(routing.chosen, outputs.shape[1])
    weight_BE = (routing.weights.unsqueeze(-1) * chosen_BKE).sum(1)
    weight = weight_BE.to(outputs.dtype).view(*weight_BE.shape, *[1] * (outputs.dim() - 2))
    return (weight * outputs).sum(1)


def _restricted(gate: Gate, task: int, experts: Sequence[str]) -> Gate:
    """Return a copy of a gate without the entries that serve other tasks and experts alone."""
    gate = copy.deepcopy(gate)
    needed = {identity for part in gate.depends_on(task, experts) for identity in _held(part)}
    for entries in list(gate.modules()):
        if isinstance(entries, (nn.ModuleDict, nn.ParameterDict)):
            for name in list(entries):
                held = _held(entries[name])
                if held and held.isdisjoint(needed):
                    del entries[name]
    return gate


def _held(part: nn.Module | Tensor) -> set[int]:
    tensors = (*part.parameters(), *part.buffers()) if isinstance(part, nn.Module) else (part,)
    return {id(tensor) for tensor in tensors}


def _pooled(network: MoENetwork, head: EvidenceHead) -> PooledAnswer:
    parts: dict[tuple[int, Lens | None], list[Part]] = {}
    for task, part, lens in head.blocks:
        parts.setdefault((task, lens), []).append(part)
    return PooledAnswer(head, {read: _source(network, *read, parts[read]) for read in parts})


def _source(
    network: MoENetwork, task: int, lens: Lens | None, parts: Sequence[Part]
) -> _Path | _Answers:
    if task == RAW.task:
        return _Path([], None, parts)
    head = network.heads[str(task)]
    if isinstance(head, EvidenceHead):
        return _Answers(_pooled(network, head), parts)
    stages = [
        _experts(stage, task) if isinstance(stage, MoELayer) else stage
        for stage in network.stages(task)
    ]
    return _Path(stages, head, parts, lens)


def _experts(layer: MoELayer, task: int) -> nn.Module:
    """Return what a layer does to the rows of one task; nothing is copied but the gate."""
    ids = layer.offered(task)
    parts, weights = [layer.pool[ids[0]]], [1.0]
    if len(ids) > 1 and layer.gate.reads_rows:
        parts = [RoutedExperts(layer.gate, task, {id_: layer.pool[id_] for id_ in ids})]
    elif len(ids) > 1:
        routing = layer.gate(torch.zeros(1, layer.gate.in_features), task, ids)
        parts = [layer.pool[ids[chosen]] for chosen in routing.chosen[0].tolist()]
        weights = routing.weights[0].tolist()
    if layer.shared is not None:
        parts, weights = [*parts, layer.shared], [*weights, 1.0]
    return parts[0] if weights == [1.0] else WeightedSum(parts, weights)
