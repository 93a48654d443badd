"""Freezing of parts of a network, and traversals that skip frozen parts."""

from __future__ import annotations

import copy
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TypeVar

from torch import Tensor, nn

from cl_moe.moe.offload import OffloadedExpert

__all__ = (
    "FreezableDict",
    "count_parameters",
    "kinds_of",
    "modes_of",
    "modules_of",
    "names_of",
    "restore_modes",
    "set_mode",
    "tensors_of",
    "trainable_of",
)

T = TypeVar("T", bound=Tensor)


class FreezableDict(nn.ModuleDict):
    """A ``ModuleDict`` whose parts can be frozen: parameters, buffers and mode.

    A frozen part takes no gradients and is in evaluation mode whatever mode is set, so that running
    statistics (BatchNorm) and power iterations (spectral norm) do not change and dropout is off.
    Unfreezing restores the ``requires_grad`` of each parameter: a parameter that its author had
    frozen stays frozen.

    Between two tasks a network is traversed a dozen times (which parameters are trainable, on which
    device, in which mode). With a thousand frozen parts torch's traversals take longer than
    learning a task. The traversals of this file visit the trainable parts only, and take what they
    need of the frozen parts from lists. For torch it is an ordinary ``ModuleDict``.

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
        self.kinds: Counter[type[nn.Module]] = Counter()
        """How many modules of each class they are."""
        self.numbers: dict[str, int] = {}
        """The number of parameters of each frozen part."""
        self.number = 0
        """The number of parameters of all frozen parts."""
        self._tensors: dict[str, dict[str, Tensor] | None] = {}
        self.switched_off: dict[str, tuple[str, ...]] = {}
        """The parameters of each frozen part that took no gradients before it was frozen."""
        super().__init__(parts)

    def freeze(self, name: str) -> None:
        """Freeze a part until it is unfrozen. Its gradients are dropped."""
        part = self[name]
        if name in self.trainable:
            off = tuple(n for n, p in part.named_parameters() if not p.requires_grad)
            self._freeze(name, part, off)

    def unfreeze(self, name: str) -> None:
        """Make a part trainable again: the parameters that were trainable before."""
        if name in self.trainable:
            return
        off = self.switched_off[name]
        for parameter_name, parameter in self[name].named_parameters():
            parameter.requires_grad_(parameter_name not in off)
        self._forget(name)
        set_mode(self[name], self.training)

    def replace_frozen(self, name: str, part: nn.Module) -> None:
        """Replace a frozen part by another module, which is frozen, too."""
        off = self.switched_off[name]
        self[name] = part
        self._freeze(name, part, off)

    def fixed(self, name: str) -> Mapping[str, Tensor] | None:
        """Return the tensors of a frozen part by their names in it, without a traversal.

        None if the part is not frozen, or has buffers or other state than parameters.
        """
        if name in self.trainable:
            return None
        if name not in self._tensors:
            held = self[name].state_dict(keep_vars=True)
            whole = all(isinstance(tensor, nn.Parameter) for tensor in held.values())
            self._tensors[name] = dict(held) if whole else None
        return self._tensors[name]

    def copy_of(self, name: str) -> nn.Module:
        """Return a copy of a part with the ``requires_grad`` that it had before it was frozen."""
        copied = copy.deepcopy(self[name])
        if name not in self.trainable:
            off = self.switched_off[name]
            for parameter_name, parameter in copied.named_parameters():
                parameter.requires_grad_(parameter_name not in off)
        return copied.train()

    def train(self, mode: bool = True) -> FreezableDict:
        """Set the mode of the trainable parts; frozen parts stay in evaluation mode."""
        self.training = mode
        for name in self.trainable:
            self[name].train(mode)
        return self

    def _freeze(self, name: str, part: nn.Module, off: tuple[str, ...]) -> None:
        for parameter in part.parameters():
            parameter.requires_grad_(False)
            parameter.grad = None
        part.eval()
        self.switched_off[name] = off
        self._skip(name, part)

    def _skip(self, name: str, part: nn.Module) -> None:
        """Move a part to the lists of those that traversals skip."""
        self.trainable.pop(name, None)
        modules = dict.fromkeys(part.modules())
        self.frozen.update(modules)
        self.kinds.update(map(type, modules))
        self.numbers[name] = count_parameters(part)
        self.number += self.numbers[name]

    def _forget(self, name: str) -> None:
        """Remove a part from the lists of frozen parts, if it is frozen."""
        if name in self and name not in self.trainable:
            modules = dict.fromkeys(self[name].modules())
            for module in modules:
                self.frozen.pop(module, None)
            self.kinds -= Counter(map(type, modules))
            self.number -= self.numbers.pop(name)
            self._tensors.pop(name, None)
            self.switched_off.pop(name, None)
        self.trainable[name] = None

    def __setitem__(self, name: str, part: nn.Module) -> None:
        self._forget(name)
        super().__setitem__(name, part)

    def __delitem__(self, name: str) -> None:
        self._forget(name)
        super().__delitem__(name)
        del self.trainable[name]


def modules_of(root: nn.Module) -> list[nn.Module]:
    """Return the modules of ``root.modules()``, with those of frozen parts last."""
    found, frozen = _walk(root)
    for modules in frozen:
        found.update(modules)
    return list(found)


def kinds_of(root: nn.Module) -> Counter[type[nn.Module]]:
    """Return how many modules of each class a module consists of, itself included.

    >>> kinds_of(nn.Sequential(nn.ReLU(), nn.ReLU()))[nn.ReLU]
    2
    """
    modules = _walk(root)[0]
    found: Counter[type[nn.Module]] = Counter(map(type, modules))
    for module in modules:
        if isinstance(module, FreezableDict):
            found.update(module.kinds)
    return found


def tensors_of(root: nn.Module, frozen: bool = True) -> list[Tensor]:
    """Return each parameter and buffer of a module once; optionally without frozen parts."""
    modules = modules_of(root) if frozen else _walk(root)[0]
    kinds = [held for m in modules for held in (m._parameters, m._buffers) if held]
    return _once(tensor for held in kinds for tensor in held.values())


def trainable_of(root: nn.Module) -> list[nn.Parameter]:
    """Return the trainable parameters, in torch's order."""
    own = (p for m in _walk(root)[0] if m._parameters for p in m._parameters.values())
    return [p for p in _once(own) if p.requires_grad]


def names_of(root: nn.Module, wanted: Iterable[nn.Parameter]) -> dict[nn.Parameter, str]:
    """Return the names of some parameters, as ``named_parameters`` gives them.

    Frozen parts are searched last, from the newest on, until all names are found. A parameter that
    is not in the module has none.

    >>> net = nn.Sequential(nn.Linear(2, 3))
    >>> list(names_of(net, [net[0].bias]).values())
    ['0.bias']
    """
    missing, found = dict.fromkeys(wanted), dict[nn.Parameter, str]()
    seen: set[nn.Module] = set()
    ahead: list[tuple[str, nn.Module | None]] = [("", root)]
    frozen: list[tuple[str, nn.Module | None]] = []
    while missing and (ahead or frozen):
        place, module = (ahead or frozen).pop()
        if module is None or module in seen:
            continue
        seen.add(module)
        for name, parameter in module._parameters.items():
            if parameter in missing:
                del missing[parameter]
                found[parameter] = place + name
        parts = [(f"{place}{name}.", part) for name, part in module._modules.items()]
        if isinstance(module, FreezableDict):
            frozen += [p for p, n in zip(parts, module, strict=True) if n not in module.trainable]
            parts = [p for p, n in zip(parts, module, strict=True) if n in module.trainable]
        ahead += reversed(parts)
    return found


def count_parameters(root: nn.Module) -> int:
    """Return the number of parameters of a module, including offloaded experts.

    >>> count_parameters(nn.Linear(2, 3))
    9
    """
    modules = _walk(root)[0]
    own = _once(p for m in modules if m._parameters for p in m._parameters.values())
    offloaded = sum(module.numbers for module in modules if isinstance(module, OffloadedExpert))
    frozen = sum(module.number for module in modules if isinstance(module, FreezableDict))
    return sum(p.numel() for p in own) + offloaded + frozen


def modes_of(root: nn.Module) -> list[tuple[nn.Module, bool]]:
    """Return each module outside frozen parts and its training flag; see :func:`restore_modes`.

    The mode of a frozen part does not change.
    """
    return [(module, module.training) for module in _walk(root)[0]]


def restore_modes(modes: Iterable[tuple[nn.Module, bool]]) -> None:
    """Restore the training flags, each for the module only, not for its children."""
    for module, training in modes:
        module.__dict__["training"] = training


def set_mode(root: nn.Module, training: bool) -> None:
    """Set a module and all in it to training or evaluation mode, as torch does.

    Frozen parts of a :class:`FreezableDict` stay in evaluation mode. A module that overrides
    ``train`` is called: it may keep parts in another mode.

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
