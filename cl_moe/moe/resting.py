"""Parts that rest: trainable, but skipped by traversals until they get a gradient."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from cl_moe.moe.freezing import FreezableDict

__all__ = ("RestingDict", "Wake")

RESTING = (nn.Linear, nn.Identity)
"""Classes of the layers that rest; not their subclasses."""

Wake = Callable[[list[nn.Parameter]], None]
"""Called with the parameters of a part that rests no more."""


class RestingDict(FreezableDict):
    """A ``ModuleDict`` whose linear layers rest from one use in training to the next.

    A layer at rest is trainable and can be run. Until backpropagation gives one of its parameters a
    gradient, nothing can change it: an optimizer skips parameters without gradients. So neither the
    optimizer nor the traversals of :mod:`cl_moe.moe.freezing` visit it, and a step costs the same
    however many layers rest. The first gradient wakes it, whatever that gradient comes from: a
    batch with rows of an earlier task, distillation, a penalty.

    Only layers whose outputs do not depend on the training mode rest (:data:`RESTING`), if all
    their parameters take gradients.

    Attributes:
        at_rest: the parameters at rest, with the name of their part.

    >>> parts = RestingDict({"a": nn.Linear(1, 1), "b": nn.Linear(1, 1)})
    >>> parts.rest(lambda parameters: print(len(parameters), "wake"))
    >>> parts["b"].weight.sum().backward()
    2 wake
    >>> list(parts.trainable), parts["a"].weight.requires_grad
    (['b'], True)
    """

    def __init__(self, parts: Mapping[str, nn.Module] | None = None) -> None:
        self.at_rest: dict[nn.Parameter, str] = {}
        self._hooks: dict[nn.Parameter, RemovableHandle] = {}
        self._woken: Wake | None = None
        super().__init__(parts)

    def rest(self, woken: Wake) -> None:
        """Let all parts rest; their gradients are dropped.

        Args:
            woken: called when one is trained again.
        """
        self._woken = woken
        for name in [*self.trainable]:
            part = self[name]
            if type(part) in RESTING and all(p.requires_grad for p in part.parameters()):
                self._skip(name, part)
                for parameter in part.parameters():
                    parameter.grad = None
                    self._watch(parameter)
                    self.at_rest[parameter] = name

    def wake(self, name: str) -> None:
        """End the rest of a part before it gets a gradient; of one that does not rest, nothing."""
        if self[name] in self.frozen:
            self._forget(name)
            if self._woken is not None:
                self._woken(list(self[name].parameters()))

    def names_at_rest(self) -> dict[nn.Parameter, str]:
        """Return the names of the parameters at rest, as ``named_parameters`` gives them."""
        return {
            tensor: f"{name}.{key}"  # type: ignore[misc]
            for name in dict.fromkeys(self.at_rest.values())
            for key, tensor in (self.fixed(name) or {}).items()
        }

    def _forget(self, name: str) -> None:
        if name in self and name not in self.trainable:
            for parameter in self[name].parameters():
                self.at_rest.pop(parameter, None)
                if (hook := self._hooks.pop(parameter, None)) is not None:
                    hook.remove()
        super()._forget(name)

    def _watch(self, parameter: nn.Parameter) -> None:
        found = partial(_found, weakref.ref(self))
        self._hooks[parameter] = parameter.register_post_accumulate_grad_hook(found)

    def __getstate__(self) -> dict[str, Any]:
        """Return the state of a copy, which is not trained by the optimizer of the original."""
        return {**self.__dict__, "_woken": None, "_hooks": {}}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Watch the parameters of a copy, which has no hooks."""
        super().__setstate__(state)  # type: ignore[no-untyped-call]
        for parameter in self.at_rest:
            self._watch(parameter)


def _found(parts: weakref.ref[RestingDict], parameter: Tensor) -> None:
    """Wake the part of a parameter that has got a gradient."""
    held = parts()
    name = None if held is None else held.at_rest.get(parameter)  # type: ignore[call-overload]
    if held is not None and name is not None:
        held.wake(name)
