"""The cost of a method: parameters, active parameters, operations per prediction."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode
from torch.utils.flop_counter import FlopCounterMode

from cl_moe.moe.freezing import count_parameters, modes_of, restore_modes
from cl_moe.moe.network import MoENetwork
from cl_moe.seeding import generator

__all__ = ("cost",)


def cost(strategy: Any, task: int, shape: tuple[int, ...]) -> dict[str, float | None]:
    """Return the cost of a strategy's model in its current state.

    The model is not changed; the further state of a method (a memory, a copy of the model,
    importances) is not counted.

    Args:
        strategy: any strategy whose model is a ``TaskModel`` or another module.
        task: a task that the model knows.
        shape: of one input, without the batch.

    Returns:
        - ``parameters``: all parameters of the model;
        - ``active_parameters``: parameters that a prediction for the task reads, its head included;
        - ``flops_predict``: floating-point operations of predicting one row (a multiply-add is 2;
          matrix products and convolutions are counted, as by :mod:`torch.utils.flop_counter`);
        - ``experts``: number of experts in all layers, or of networks grown per task; None for a
          network with one trunk for all tasks.
    """
    model, network = strategy.model, getattr(strategy.model, "network", strategy.model)
    device = next(model.parameters()).device
    row = torch.rand(1, *shape, generator=generator(0, "cost")).to(device)
    label = torch.tensor([task], device=device)
    ours = network is not model
    own = getattr(network, "active_parameters", None)  # weights may be masked, not left out
    counter, reader, modes = FlopCounterMode(display=False), _Reader(), modes_of(model)
    counter.mod_tracker = _NoNames()  # type: ignore[assignment]
    model.eval()
    try:
        with torch.no_grad(), counter, reader:
            _ = model(row, label) if ours else model(row)
    finally:
        restore_modes(modes)
    return {
        "parameters": float(count_parameters(model)),
        "active_parameters": float(reader.parameters if own is None else own(task)),
        "flops_predict": float(counter.get_total_flops()),
        "experts": _experts(network),
    }


class _NoNames(contextlib.nullcontext[None]):
    """Replaces the module tracker of the counter, which would name every module of the network."""

    parents = frozenset(("Global",))


class _Reader(TorchFunctionMode):
    """Records every parameter that a torch function is called with."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: dict[int, nn.Parameter] = {}

    @property
    def parameters(self) -> int:
        """Number of parameters read."""
        return sum(parameter.numel() for parameter in self.seen.values())

    def __torch_function__(
        self,
        func: Any,
        types: Any,
        args: tuple[Any, ...] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        kwargs = kwargs or {}
        if getattr(func, "__name__", "") != "__get__":  # asking for a shape reads no value
            found = (t for t in _tensors((args, kwargs)) if isinstance(t, nn.Parameter))
            self.seen.update((id(parameter), parameter) for parameter in found)
        return func(*args, **kwargs)


def _tensors(value: object) -> Iterable[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for item in value.values():
            yield from _tensors(item)
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)


def _experts(network: nn.Module) -> float | None:
    if isinstance(network, MoENetwork):
        return float(sum(len(layer.pool) for layer in network.moe_layers))
    grown = getattr(network, "n_experts", None)
    return None if grown is None else float(grown)
