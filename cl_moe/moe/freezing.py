"""Parts of a network by name, of which those that are finished cost a walk next to nothing."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TypeVar

from torch import Tensor, nn

from cl_moe.moe.offload import Away

__all__ = (
    "Shelf",
    "count_parameters",
    "modes_of",
    "modules_of",
    "restore_modes",
    "set_mode",
    "tensors_of",
    "trainable_of",
)

T = TypeVar("T", bound=Tensor)


class Shelf(nn.ModuleDict):
    """A ``ModuleDict`` that can close a part: freeze it, and note its modules once and for all.

    Between two tasks a network is walked through a dozen times: what is to be trained, is all on
    the device, in evaluation mode? With a thousand finished parts torch's walks take longer than
    learning a task. Those of this file look into the open parts only, and take the modules of the
    closed ones from one list. To torch it is a ``ModuleDict`` like any other.

    Args:
        parts: modules by name, all open.

    >>> shelf = Shelf({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})
    >>> shelf.close("a")
    >>> len(trainable_of(shelf)), len(tensors_of(shelf)), len(modules_of(shelf))
    (2, 4, 3)
    >>> shelf.reopen("a")
    >>> len(trainable_of(shelf))
    4
    """

    def __init__(self, parts: Mapping[str, nn.Module] | None = None) -> None:
        self.open: dict[str, None] = {}
        """Names of the parts that are not closed."""
        self.closed: dict[nn.Module, None] = {}
        """All modules of the closed parts."""
        self.numbers: dict[str, int] = {}
        """How many parameters each closed part has."""
        super().__init__(parts)

    def close(self, name: str) -> None:
        """Freeze a part: it is not trained until it is opened again. Its gradients are dropped."""
        for parameter in self[name].parameters():
            parameter.requires_grad_(False)
            parameter.grad = None
        if name in self.open:
            del self.open[name]
            self.closed.update(dict.fromkeys(self[name].modules()))
            self.numbers[name] = count_parameters(self[name])

    def reopen(self, name: str) -> None:
        """Let a part's parameters be trained again."""
        self[name].requires_grad_(True)
        self._take_off(name)

    def _take_off(self, name: str) -> None:
        if name in self and name not in self.open:
            for module in self[name].modules():
                self.closed.pop(module, None)
            del self.numbers[name]
        self.open[name] = None

    def __setitem__(self, name: str, part: nn.Module) -> None:
        self._take_off(name)
        super().__setitem__(name, part)

    def __delitem__(self, name: str) -> None:
        self._take_off(name)
        super().__delitem__(name)
        del self.open[name]


def modules_of(root: nn.Module) -> list[nn.Module]:
    """Return all that ``root.modules()`` yields, those of closed parts last."""
    found, closed = _walk(root)
    for modules in closed:
        found.update(modules)
    return list(found)


def tensors_of(root: nn.Module, closed: bool = True) -> list[Tensor]:
    """Return all parameters and buffers of a module, once each; or those outside closed parts."""
    modules = modules_of(root) if closed else _walk(root)[0]
    kinds = [held for m in modules for held in (m._parameters, m._buffers) if held]
    return _once(tensor for held in kinds for tensor in held.values())


def trainable_of(root: nn.Module) -> list[nn.Parameter]:
    """Return the parameters that take gradients, in torch's order; none of a closed part does."""
    own = (p for m in _walk(root)[0] if m._parameters for p in m._parameters.values())
    return [p for p in _once(own) if p.requires_grad]


def count_parameters(root: nn.Module) -> int:
    """Return how many parameters a module has, those of experts that are away included.

    >>> count_parameters(nn.Linear(2, 3))
    9
    """
    modules = _walk(root)[0]
    own = _once(p for m in modules if m._parameters for p in m._parameters.values())
    away = sum(module.numbers for module in modules if isinstance(module, Away))
    shelves = (module.numbers for module in modules if isinstance(module, Shelf))
    return sum(p.numel() for p in own) + away + sum(sum(s.values()) for s in shelves)


def modes_of(root: nn.Module) -> list[tuple[nn.Module, bool]]:
    """Return each module with whether it is in training mode; see :func:`restore_modes`."""
    return [(module, module.training) for module in modules_of(root)]


def restore_modes(modes: Iterable[tuple[nn.Module, bool]]) -> None:
    """Set modules, each without those below it, to the modes given."""
    for module, training in modes:
        module.__dict__["training"] = training


def set_mode(root: nn.Module, training: bool) -> None:
    """Set a module and all in it to training or evaluation mode, as torch does.

    A part with a ``train`` of its own is asked: it may keep something as it is.

    >>> net = nn.Sequential(nn.Dropout())
    >>> set_mode(net, False)
    >>> net[0].training
    False
    """
    modules = modules_of(root)
    for module in modules:
        module.__dict__["training"] = training  # past torch's checks: it is no parameter
    kinds: set[type[nn.Module]] = set(map(type, modules))
    own = {kind for kind in kinds if kind.train is not nn.Module.train}
    for module in modules if own - {type(root)} else ():
        if type(module) in own and module is not root:
            module.train(training)


def _walk(root: nn.Module) -> tuple[dict[nn.Module, None], list[dict[nn.Module, None]]]:
    """Return the modules outside closed parts, as torch orders them, and those of closed parts."""
    found: dict[nn.Module, None] = {}
    closed: list[dict[nn.Module, None]] = []
    ahead: list[nn.Module | None] = [root]
    while ahead:
        module = ahead.pop()
        if module is None or module in found:
            continue
        found[module] = None
        children = module._modules
        if isinstance(module, Shelf):
            ahead.extend(children[name] for name in reversed(module.open))
            closed.append(module.closed)
        elif children:
            ahead.extend(reversed(children.values()))
    return found, closed


def _once(tensors: Iterable[T | None]) -> list[T]:
    return list({id(tensor): tensor for tensor in tensors if tensor is not None}.values())
