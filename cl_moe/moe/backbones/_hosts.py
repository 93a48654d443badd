"""Hosts of experts in a network of another package: found by name, observed in a pass."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fnmatch import fnmatchcase
from typing import Any

from torch import Tensor, nn

from cl_moe.errors import InputError, did_you_mean
from cl_moe.moe.experts.base import HostExpert, Shape
from cl_moe.moe.layer import Slot

__all__ = ("Maker", "Sizes", "matching", "switched_off", "watched", "width")


class Sizes:
    """Input and output shape of a host, without the batch."""

    def __init__(self) -> None:
        self.shapes: tuple[Shape, ...] = ()


class Maker:
    """Makes an expert for a host; called like a stage factory, without a shape."""

    def __init__(
        self,
        expert: HostExpert,
        host: tuple[nn.Module],
        off: frozenset[str],
        sizes: Sizes,
        name: str,
    ) -> None:
        self.expert, self.host, self.off, self.sizes, self.name = expert, host, off, sizes, name

    def __call__(self, _: Shape) -> nn.Module:
        (host,) = self.host
        shapes = self.sizes.shapes
        assert shapes, "sizes are not known yet: call prepare(x)"
        flags = {name: p.requires_grad for name, p in host.named_parameters()}
        for name, parameter in host.named_parameters():  # as its author gave it, while it is copied
            parameter.requires_grad_(name not in self.off)
        try:
            return self.expert.make(host, shapes[0], shapes[1])
        except ValueError as error:
            raise InputError(f"slot '{self.name}': {error}") from error
        finally:
            for name, parameter in host.named_parameters():
                parameter.requires_grad_(flags[name])


def matching(network: nn.Module, wanted: Sequence[str]) -> list[str]:
    """Return the names of the matching modules, in the network's order."""
    names = [name for name, _ in network.named_modules() if name]
    found: dict[str, None] = {}
    problems = []
    for pattern in wanted:
        hits = [name for name in names if name == pattern or fnmatchcase(name, pattern)]
        if not hits:
            hint = did_you_mean(pattern, names)
            problems.append(f"slots: {type(network).__name__} has no module '{pattern}'; {hint}")
        found |= dict.fromkeys(hits)
    for name in found:
        outer = next((other for other in found if name.startswith(f"{other}.")), None)
        if outer is not None:
            problems.append(f"slots: '{name}' lies within '{outer}'; name one of them")
    if problems:
        raise InputError(problems)
    return [name for name in names if name in found]


def switched_off(host: nn.Module) -> frozenset[str]:
    return frozenset(name for name, p in host.named_parameters() if not p.requires_grad)


def width(host: nn.Module) -> int:
    """Return the number of features per row that a gate reads at a host; 1 where it is unknown."""
    for name in ("in_features", "in_channels"):
        if isinstance(getattr(host, name, None), int):
            return int(getattr(host, name))
    return 1


@contextmanager
def watched(
    network: nn.Module, seen: dict[str, tuple[Shape, Shape]], ends: list[tuple[str, Tensor]]
) -> Iterator[None]:
    """Record the shapes at slots, and the outputs of linear maps, in passes inside the context."""
    handles = []

    def note(name: str) -> Callable[..., None]:
        def hook(module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
            first = output[0] if isinstance(output, tuple) else output
            if isinstance(module, Slot):
                seen[name] = (tuple(args[0].shape[1:]), tuple(first.shape[1:]))
            else:
                ends.append((name, output))

        return hook

    slots = [f"{name}." for name, module in network.named_modules() if isinstance(module, Slot)]
    for name, module in network.named_modules():
        inside = any(name.startswith(slot) for slot in slots)
        if isinstance(module, Slot | nn.Linear) and name and not inside:
            handles.append(module.register_forward_hook(note(name)))
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
