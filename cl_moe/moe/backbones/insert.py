"""Experts inside a network of another package."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal

import torch
from torch import Tensor, nn

from cl_moe.errors import InputError
from cl_moe.moe.backbones._hosts import Maker, Sizes, matching, switched_off, watched, width
from cl_moe.moe.backbones.base import Backbone, Stage
from cl_moe.moe.experts.base import HostExpert, Shape
from cl_moe.moe.extract import experts_for
from cl_moe.moe.gates.base import Gate
from cl_moe.moe.layer import MoELayer, Slot
from cl_moe.seeding import derive

__all__ = ("Insert",)


class Insert(Backbone):
    """Wraps any ``nn.Module``; modules chosen by name become hosts of experts.

    The network is copied, and slots replace the named modules; everything else, the *base*, is
    frozen: from the start, or after the first task. A linear classifier at the network's end is
    left out: the features are its input. Features with tokens (B, T, D) or pixels (B, D, H, W) are
    averaged over these.

    Sizes are unknown until :meth:`prepare` is called with rows; the plugin does so.

    Args:
        network: takes rows (B, ...), gives a tensor.
        slots: names of modules in it, or patterns as of file names (``"encoder.layers.*.mlp"``).
        expert: the kind of expert for each host.
        gate: makes a slot's gate from the number of features per row.
        experts: initial number of experts per slot.
        learns_base: whether the first task also trains the base.
        seed: where initial parameters are derived from.

    Raises:
        InputError: no module has such a name, or slots are nested.

    >>> from cl_moe.moe.experts.lora import LoRAExpert
    >>> from cl_moe.moe.gates.task import TaskGate
    >>> net = nn.Sequential(nn.Linear(4, 8), nn.ReLU(), nn.Linear(8, 10))
    >>> backbone = Insert(net, "0", LoRAExpert(rank=2), TaskGate)
    >>> backbone.prepare(torch.rand(2, 4))
    >>> list(backbone.slots), backbone.feature_dim, backbone.classifier
    (['0'], 8, '2')
    """

    def __init__(
        self,
        network: nn.Module,
        slots: str | Sequence[str],
        expert: HostExpert,
        gate: Callable[[int], Gate],
        experts: int = 0,
        learns_base: bool = False,
        seed: int = 0,
    ) -> None:
        network = copy.deepcopy(network)
        names = matching(network, [slots] if isinstance(slots, str) else list(slots))
        hosts = {name: network.get_submodule(name) for name in names}
        off = {name: switched_off(host) for name, host in hosts.items()}
        layers = []
        for number, (name, host) in enumerate(hosts.items()):
            sizes = Sizes()
            make = Maker(expert, (host,), off[name], sizes, name)
            layer = MoELayer(
                make,
                gate(width(host)),
                None,
                experts=0,
                seed=derive(seed, "layer", number) if number else seed,
                placement=expert.placement,
            )
            layers.append(layer)
            parent, _, last = name.rpartition(".")
            setattr(network.get_submodule(parent), last, Slot(host, layer))
        super().__init__({"network": network}, layers, names)
        self.learns_base, self.first_experts = learns_base, experts
        self.classifier: str | None = None
        """Name of the linear classifier that is left out, if there is one."""
        self.feature_size: int | None = None
        if not learns_base:
            self.base.freeze("network")

    @property
    def network(self) -> nn.Module:
        """The network with its slots."""
        return self.base["network"]

    @property
    def feature_dim(self) -> int:
        """Length D of the features."""
        assert self.feature_size is not None, "sizes are not known yet: call prepare(x)"
        return self.feature_size

    def prepare(self, x: Tensor) -> None:
        """Find the sizes, and whether the network ends in a classifier, by a pass of two rows.

        Raises:
            InputError: the network fails on such rows, returns no tensor, or does not call a slot.
        """
        if self.feature_size is not None:
            return
        seen: dict[str, tuple[Shape, Shape]] = {}
        ends: list[tuple[str, Tensor]] = []
        with watched(self.network, seen, ends):
            output = self._probe(x[:2])
        if not isinstance(output, Tensor):
            raise InputError(
                f"backbone: {type(self.network).__name__} returns a {type(output).__name__}; give "
                "a module that returns one tensor of features or logits, (B, D) or (B, T, D)"
            )
        for name in self.slots:
            if name not in seen:
                raise InputError(
                    f"slots: '{name}' is never called in the forward pass, so experts there "
                    "would have no effect; name a module that is called (the whole "
                    "nn.MultiheadAttention, not its projections)"
                )
        last = next((name for name, end in reversed(ends) if end is output), None)
        sizes = {name: [list(shape) for shape in shapes] for name, shapes in seen.items()}
        self.set_sizes({"hosts": sizes, "classifier": last})
        with torch.no_grad():
            self.feature_size = int(self.raw(x[:2]).shape[1])
        for layer in self.slot_list:
            for number in range(self.first_experts):
                layer.add(layer.make(str(number)))

    def sizes(self) -> dict[str, Any] | None:
        """Return the sizes that :meth:`prepare` found, for :meth:`set_sizes`; None before."""
        if self.feature_size is None:
            return None
        hosts = {
            name: [list(s) for s in _maker(layer).sizes.shapes]
            for name, layer in self.slots.items()
        }
        return {"hosts": hosts, "classifier": self.classifier, "features": self.feature_size}

    def set_sizes(self, sizes: Mapping[str, Any]) -> None:
        """Restore sizes that were found before."""
        for name, shapes in sizes["hosts"].items():
            if name in self.slots:
                _maker(self.slots[name]).sizes.shapes = tuple(tuple(shape) for shape in shapes)
        self.classifier = sizes["classifier"]
        if self.classifier is not None:
            parent, _, last = self.classifier.rpartition(".")
            was_frozen = "network" not in self.base.trainable
            setattr(self.network.get_submodule(parent), last, nn.Identity())
            if was_frozen:  # its modules are listed anew
                self.base.replace_frozen("network", self.network)
        self.feature_size = sizes.get("features")

    def _probe(self, x: Tensor) -> Any:
        was_training = self.training
        self.eval()
        try:
            with torch.no_grad():
                return self.network(x)
        except Exception as error:
            raise InputError(
                f"backbone: {type(self.network).__name__} fails for rows of shape "
                f"{tuple(x.shape[1:])} and type {x.dtype} ({type(error).__name__}: {error})"
            ) from error
        finally:
            self.train(was_training)

    def raw(self, z: Tensor) -> Tensor:
        """Return the base's features of rows, without experts, (B, D)."""
        with self.context.of(None):
            return _rows(self.network(z))

    def forward(self, x: Tensor) -> Tensor:
        """Return features (B, D) of rows for the task of the context."""
        return _rows(self.network(x))

    def stages(self, task: int) -> list[Stage]:
        """Return the whole network as one stage: its inner structure is unknown."""
        path = tuple(layer.assigned[task] for layer in self.slot_list)

        def run(z: Tensor) -> Tensor:
            with self.context.of(task):
                return self(z)  # type: ignore[no-any-return]

        return [Stage(path, run)]

    def candidate(self, z: Tensor, kept: int, task: int | None) -> Tensor:
        """Return the rows themselves."""
        return z

    def run_candidate(self, z: Tensor, experts: Sequence[nn.Module], task: int | None) -> Tensor:
        """Return features (B, D) with other experts in the last slots."""
        layers = self.slot_list[len(self.layers) - len(experts) :]
        given = {layer.name: expert for layer, expert in zip(layers, experts, strict=True)}
        with self.context.of(task, given):
            return self(z)  # type: ignore[no-any-return]

    def unslotted(self) -> list[nn.Module]:
        """Return the largest modules of the network that hold no slot."""
        found: list[nn.Module] = []
        ahead = [self.network]
        while ahead:
            module = ahead.pop()
            if isinstance(module, Slot):
                found.append(module.host)
            elif any(isinstance(inner, Slot) for inner in module.modules()):
                ahead += module.children()
            else:
                found.append(module)
        return found

    def raw_modules(self) -> list[nn.Module]:
        """Return the network without experts."""
        return [self._plain(lambda slot: slot.host)]

    def modules_for(self, task: int) -> list[nn.Module]:
        """Return the network with a task's experts in its slots."""

        def fill(slot: Slot) -> nn.Module:
            experts = experts_for(slot.layer, task)
            placement = slot.layer.placement
            return experts if placement == "replace" else _Hosted(slot.host, experts, placement)

        return [self._plain(fill)]

    def stage_modules(self, task: int) -> list[nn.Module]:
        """Return the same."""
        return self.modules_for(task)

    def _plain(self, fill: Callable[[Slot], nn.Module]) -> nn.Module:
        slots = [module for module in self.network.modules() if isinstance(module, Slot)]
        memo: dict[int, Any] = {id(slot): copy.deepcopy(fill(slot)) for slot in slots}
        return _Rows(copy.deepcopy(self.network, memo))


class _Rows(nn.Module):
    """A network whose output is averaged over tokens or pixels."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return _rows(self.network(x))


class _Hosted(nn.Module):
    """A host with experts whose outputs are added."""

    def __init__(
        self, host: nn.Module, experts: nn.Module, placement: Literal["add", "output", "replace"]
    ) -> None:
        super().__init__()
        self.host, self.experts, self.placement = host, experts, placement

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Any:
        y = self.host(x, *args, **kwargs)
        first = y[0] if isinstance(y, tuple) else y
        first = first + self.experts(x if self.placement == "add" else first)
        return (first, *y[1:]) if isinstance(y, tuple) else first


def _maker(layer: MoELayer) -> Maker:
    assert isinstance(layer.factory, Maker)
    return layer.factory


def _rows(output: Tensor) -> Tensor:
    """Return features (B, D): means over tokens (B, T, D) or over pixels (B, D, H, W)."""
    if output.dim() == 4:
        return output.mean((2, 3))
    return output.mean(1) if output.dim() == 3 else output.flatten(1)
