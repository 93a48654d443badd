"""Parts of a network that can be frozen, and walks that pass over frozen parts at no cost."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import TypeVar

from torch import Tensor, nn

from cl_moe.moe.offload import OffloadedExpert

__all__ = (
    "FreezableDict",
    "count_parameters",
    "modes_of",
    "modules_of",
    "restore_modes",
    "set_mode",
    "tensors_of",
    "trainable_of",
)

T = TypeVar("T", bound=Tensor)


class FreezableDict(nn.ModuleDict):
    """A ``ModuleDict`` whose parts can be frozen: parameters, buffers and mode.

    A frozen part takes no gradients and is in evaluation mode whatever mode is set, so that running
    statistics (BatchNorm) and power iterations (spectral norm) stay as they are and dropout drops
    nothing. Unfreezing gives each parameter back the ``requires_grad`` that it had: what its author
    had switched off stays off.

    Between two tasks a network is walked through a dozen times: what is to be trained, is all on
    the device, in evaluation mode? With a thousand frozen parts torch's walks take longer than
    learning a task. Those of this file look into the trainable parts only, and take the modules of
    the frozen ones from one list. To torch it is a ``ModuleDict`` like any other.

    Args:
        parts: modules by name, none of them frozen.

    >>> parts = FreezableDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})
    >>> parts.freeze("a")
    >>> len(trainable_of(parts)), len(tensors_of(parts)), len(modules_of(parts))
    (2, 4, 3)
    >>> parts.train()["a"].training
    False
    >>> parts.unfreeze("a")
    >>> len(trainable_of(parts)), parts["a"].training
    (4, True)
    """

    def __init__(self, parts: Mapping[str, nn.Module] | None = None) -> None:
        self.trainable: dict[str, None] = {}
        """Names of the parts that are not frozen."""
        self.frozen: dict[nn.Module, None] = {}
        """All modules of the frozen parts."""
        self.numbers: dict[str, int] = {}
        """How many parameters each frozen part has."""
        self.switched_off: dict[str, tuple[str, ...]] = {}
        """Of each frozen part, the parameters that took no gradients before."""
        super().__init__(parts)

    def freeze(self, name: str) -> None:
        """Keep a part as it is until it is unfrozen. Its gradients are dropped."""
        part = self[name]
        if name in self.trainable:
            off = tuple(n for n, p in part.named_parameters() if not p.requires_grad)
            self._freeze(name, part, off)

    def unfreeze(self, name: str) -> None:
        """Let a part be trained again: those of its parameters that were before."""
        if name in self.trainable:
            return
        off = self.switched_off[name]
        for parameter_name, parameter in self[name].named_parameters():
            parameter.requires_grad_(parameter_name not in off)
        self._forget(name)
        set_mode(self[name], self.training)

    def replace_frozen(self, name: str, part: nn.Module) -> None:
        """Put another module in the place of a frozen part; it is frozen, too."""
        off = self.switched_off[name]
        self[name] = part
        self._freeze(name, part, off)

    def copy_of(self, name: str) -> nn.Module:
        """Return a copy of a part that can be trained as the part could before it was frozen."""
        copied = copy.deepcopy(self[name])
        if name not in self.trainable:
            off = self.switched_off[name]
            for parameter_name, parameter in copied.named_parameters():
                parameter.requires_grad_(parameter_name not in off)
        return copied.train()

    def train(self, mode: bool = True) -> FreezableDict:
        """Set the mode of all parts but the frozen ones, which stay in evaluation mode."""
        self.training = mode
        for name in self.trainable:
            self[name].train(mode)
        return self

    def _freeze(self, name: str, part: nn.Module, off: tuple[str, ...]) -> None:
        for parameter in part.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None
        part.eval()
        self.trainable.pop(name, None)
        self.frozen.update(dict.fromkeys(part.modules()))
        self.numbers[name] = count_parameters(part)
        self.switched_off[name] = off

    def _forget(self, name: str) -> None:
        """Take a part off the lists of frozen ones, if it is there."""
        if name in self and name not in self.trainable:
            for module in self[name].modules():
                self.frozen.pop(module, None)
            del self.numbers[name], self.switched_off[name]
        self.trainable[name] = None

    def __setitem__(self, name: str, part: nn.Module) -> None:
        self._forget(name)
        super().__setitem__(name, part)

    def __delitem__(self, name: str) -> None:
        self._forget(name)
        super().__delitem__(name)
        del self.trainable[name]


def modules_of(root: nn.Module) -> list[nn.Module]:
    """Return all that ``root.modules()`` yields, those of frozen parts last."""
    found, frozen = _walk(root)
    for modules in frozen:
        found.update(modules)
    return list(found)


def tensors_of(root: nn.Module, frozen: bool = True) -> list[Tensor]:
    """Return all parameters and buffers of a module, once each; or those outside frozen parts."""
    modules = modules_of(root) if frozen else _walk(root)[0]
    kinds = [held for m in modules for held in (m._parameters, m._buffers) if held]
    return _once(tensor for held in kinds for tensor in held.values())


def trainable_of(root: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that take gradients, in torch's order; none of a frozen part does."""
    own = (p for m in _walk(root)[0] if m._parameters for p in m._parameters.values())
    return [p for p in _once(own) if p.requires_grad]


def count_parameters(root: nn.Module) -> int:
    """Return how many parameters a module has, those of experts that are away included.

    >>> count_parameters(nn.Linear(2, 3))
    9
    """
    modules = _walk(root)[0]
    own = _once(p for m in modules if m._parameters for p in m._parameters.values())
    offloaded = sum(module.numbers for module in modules if isinstance(module, OffloadedExpert))
    dicts = (module.numbers for module in modules if isinstance(module, FreezableDict))
    return sum(p.numel() for p in own) + offloaded + sum(sum(d.values()) for d in dicts)


def modes_of(root: nn.Module) -> list[tuple[nn.Module, bool]]:
    """Return each module with whether it is in training mode; see :func:`restore_modes`."""
    return [(module, module.training) for module in modules_of(root)]


def restore_modes(modes: Iterable[tuple[nn.Module, bool]]) -> None:
    """Set modules, each without those below it, to the modes given."""
    for module, training in modes:
        module.__dict__["training"] = training


def set_mode(root: nn.Module, training: bool) -> None:
    """Set a module and all in it to training or evaluation mode, as torch does.

    Frozen parts of a :class:`FreezableDict` stay in evaluation mode. A part with a ``train`` of its
    own is asked: it may keep something as it is.

    >>> net = nn.Sequential(nn.Dropout())
    >>> set_mode(net, False)
    >>> net[0].training
    False
    """
    modules = _walk(root)[0]
    for module in modules:
        module.__dict__["training"] = training  # past torch's checks: it is no parameter
    kinds: set[type[nn.Module]] = set(map(type, modules))
    own = {kind for kind in kinds if kind.train not in (nn.Module.train, FreezableDict.train)}
    for module in modules if own - {type(root)} else ():
        if type(module) in own and module is not root:
            module.train(training)


def _walk(root: nn.Module) -> tuple[dict[nn.Module, None], list[dict[nn.Module, None]]]:
    """Return the modules outside frozen parts, as torch orders them, and those of frozen parts."""
    found: dict[nn.Module, None] = {}
    frozen: list[dict[nn.Module, None]] = []
    ahead: list[nn.Module | None] = [root]
    while ahead:
        module = ahead.pop()
        if module is None or module in found:
            continue
        found[module] = None
        children = module._modules
        if isinstance(module, FreezableDict):
            ahead.extend(children[name] for name in reversed(module.trainable))
            frozen.append(module.frozen)
        elif children:
            ahead.extend(reversed(children.values()))
    return found, frozen


def _once(tensors: Iterable[T | None]) -> list[T]:
    return list({id(tensor): tensor for tensor in tensors if tensor is not None}.values())
