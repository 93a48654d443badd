"""Extract the part of a layer that one task uses, as a module without task routing.

Extracted modules are copies in evaluation mode without gradients: further training of the network
does not change them.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from cl_moe.errors import InputError
from cl_moe.moe.dispatch.ordered import combine
from cl_moe.moe.gates.base import Gate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.routing import Routing

__all__ = (
    "FixedTask",
    "RoutedExperts",
    "WeightedSum",
    "experts_for",
    "frozen_copy",
    "unknown_task",
)


def frozen_copy(module: nn.Module) -> nn.Module:
    """Return a copy in evaluation mode without gradients; modules shared within it stay shared.

    >>> copied = frozen_copy(nn.Linear(2, 2))
    >>> copied.training, copied.weight.requires_grad
    (False, False)
    """
    return copy.deepcopy(module).eval().requires_grad_(False)


def unknown_task(task: int, known: Sequence[int]) -> InputError:
    """Return the error for a task that was not learned.

    >>> print(unknown_task(2, [0, 1]))
    task 2: has not been learned; those that can be answered are 0, 1
    """
    others = ", ".join(map(str, known)) or "none yet"
    return InputError(f"task {task}: has not been learned; those that can be answered are {others}")


class FixedTask(nn.Module):
    """A task-incremental network with a fixed task.

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
    """Experts behind a gate that routes rows, with a fixed task.

    Each row runs its k experts only. A traced graph (``torch.export``, ``torch.compile``, ONNX)
    cannot sort rows by their content: there every expert runs on every row, with weight 0 where the
    row is not routed to it. The output is the same, at the cost of all experts.

    Args:
        gate: copied, reduced to the parameters of the task.
        task: task label.
        experts: the experts on offer, by id.
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


def _all_run(x: Tensor, routing: Routing, experts: Iterable[nn.Module]) -> Tensor:
    """Return the output of :func:`combine`, by operations that do not depend on the routing."""
    outputs = torch.stack([expert(x) for expert in experts], dim=1)  # (B, E, *out_shape)
    chosen_BKE = F.one_hot(routing.chosen, outputs.shape[1])
    weight_BE = (routing.weights.unsqueeze(-1) * chosen_BKE).sum(1)
    weight = weight_BE.to(outputs.dtype).view(*weight_BE.shape, *[1] * (outputs.dim() - 2))
    return (weight * outputs).sum(1)


def _restricted(gate: Gate, task: int, experts: Sequence[str]) -> Gate:
    """Return a copy of a gate without the entries of other tasks and experts."""
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


def experts_for(layer: MoELayer, task: int) -> nn.Module:
    """Return a module that computes a layer's output for one task; only the gate is copied."""
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
