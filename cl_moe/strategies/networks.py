"""Networks from a scenario's ``[network]`` table: dense networks and mixtures."""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from torch import nn

from cl_moe import catalog
from cl_moe.arguments import checked
from cl_moe.errors import InputError, enough_memory
from cl_moe.moe.backbones.chain import Chain
from cl_moe.moe.dense import DenseNetwork, SharedHeadNetwork
from cl_moe.moe.experts._any import AnyModule
from cl_moe.moe.experts.base import (
    ExpertFactory,
    HostExpert,
    Shape,
    StageFactory,
    cut,
    make_module,
    output_shape,
)
from cl_moe.moe.experts.mlp import MLPExpert
from cl_moe.moe.gates.base import Gate
from cl_moe.moe.layer import MoELayer
from cl_moe.moe.network import MoENetwork
from cl_moe.seeding import derive
from cl_moe.streams.spec import NetworkSpec

if TYPE_CHECKING:
    from cl_moe.strategies.context import MethodContext
    from cl_moe.streams.stream import TaskStream
    from cl_moe.training.model import TaskModel

__all__ = (
    "MOST_EXPERTS", "build_dense", "build_moe", "dense_network", "expert_factory", "moe_network",
    "trunk_stages",
)  # fmt: skip

Built = TypeVar("Built")
MOST_EXPERTS = 10_000
"""Most experts that a layer begins with."""


def expert_factory(network: NetworkSpec) -> ExpertFactory:
    """Return the factory of the trunk of a network spec.

    An expert kind gets the fields of the spec that are parameters of its constructor. Any other
    ``package.module:Object`` is called with the input shape and returns a module.
    """
    kind = catalog.resolve("expert", network.kind, "network.kind")
    bases = kind.__mro__ if inspect.isclass(kind) else ()
    if HostExpert in bases and ExpertFactory not in bases:
        raise InputError(
            f"network.kind: experts '{network.kind}' need a host network; use cl_moe.mixture, "
            "or kind = 'mlp', 'conv' or 'resnet'"
        )
    if ExpertFactory not in bases:
        return AnyModule(_own_expert(kind, network.kind))
    fields = network.model_dump()
    wanted = {name: fields[name] for name in catalog.parameters(kind) if name in fields}
    factory: ExpertFactory = catalog.make(
        "expert", ExpertFactory, network.kind, wanted, "network", name_place="network.kind"
    )
    return factory


def _own_expert(make: Callable[[Shape], object], name: str) -> StageFactory:
    """Return a user's function; its errors, and results that are no module, become InputErrors."""

    def build(shape: Shape) -> nn.Module:
        try:
            module = make(shape)
        except Exception as error:
            raise InputError(
                f"network.kind: '{name}' fails for inputs of shape {shape} "
                f"({type(error).__name__}: {error})"
            ) from error
        if not isinstance(module, nn.Module):
            raise InputError(
                f"network.kind: '{name}' returns {type(module).__name__}; return a torch nn.Module"
            )
        return module

    return build


def trunk_stages(network: NetworkSpec, width: float = 1.0) -> list[StageFactory]:
    """Return the stages of a trunk, the encoder first; ``width`` widens all other stages."""
    factory = expert_factory(network)
    stages = (factory if width == 1.0 else factory.widened(width)).stages()
    encoder: list[StageFactory] = [_Encoder(network.encoder_hidden)]
    return [*encoder, *stages] if network.encoder_hidden else stages


def build_dense(context: MethodContext, width: float = 1.0) -> TaskModel:
    """Return :func:`dense_network` as an Avalanche module."""
    from cl_moe.training.model import TaskModel

    return TaskModel(dense_network(context, width), objectives=context.objectives)


def dense_network(context: MethodContext, width: float = 1.0) -> DenseNetwork | SharedHeadNetwork:
    """Return the dense network, with the heads of ``network.heads``.

    Args:
        context: the settings that all methods share.
        width: multiplies every hidden width.

    Raises:
        InputError: the network cannot be built, or a shared head does not fit all tasks.
    """
    (trunk,) = cut(trunk_stages(context.network, width), 1)
    shape = tuple(context.stream.shape)
    seed = derive(context.seed, "network")
    if context.network.heads == "task":
        return _checked(lambda: DenseNetwork(trunk, shape, seed))
    classes = _classes_of_all(context.stream)
    return _checked(lambda: SharedHeadNetwork(trunk, shape, classes, seed))


def _classes_of_all(stream: TaskStream) -> int:
    """Return the number of classes (or of other outputs), the same for every task and probe."""
    first, *others = (*stream, *stream.probes)
    for other in others:
        if other.n_classes != first.n_classes:
            raise InputError(
                f"network.heads: 'shared' is for tasks with the same classes, but "
                f"'{first.name}' has {first.n_classes} and '{other.name}' {other.n_classes}; "
                "give 'task', or tasks with the same number of classes"
            )
        if other.objective != first.objective:
            raise InputError(
                f"network.heads: 'shared' is for tasks with one objective, but '{first.name}' is "
                f"{first.objective.name} and '{other.name}' {other.objective.name}; give 'task'"
            )
    return first.n_classes


@checked({"shape": (1, 2**26), "experts": (0, MOST_EXPERTS)})
def build_moe(
    spec: NetworkSpec,
    shape: Shape,
    seed: int,
    gate: str = "task",
    gate_options: Mapping[str, Any] | None = None,
    experts: int = 1,
) -> TaskModel:
    """Return :func:`moe_network` as an Avalanche module."""
    from cl_moe.training.model import TaskModel

    origin = {
        "kind": "moe",
        "network": spec.model_dump(mode="json"),
        "shape": list(shape),
        "seed": seed,
        "gate": gate,
        "gate_options": dict(gate_options or {}),
        "experts": experts,
    }
    return TaskModel(moe_network(spec, shape, seed, gate, gate_options, experts), origin)


def moe_network(
    spec: NetworkSpec,
    shape: Shape,
    seed: int,
    gate: str = "task",
    gate_options: Mapping[str, Any] | None = None,
    experts: int = 1,
) -> MoENetwork:
    """Return a mixture whose paths have as many active parameters as the dense network.

    Args:
        spec: the trunk; an expert is one of ``spec.layers`` parts of it.
        shape: shape of a row.
        seed: seed of the initial parameters.
        gate: a gate's name.
        gate_options: the gate's parameters.
        experts: initial number of experts per layer.
    """
    if not len(shape):
        raise InputError("shape: is empty; give (features,) or (channels, height, width)")
    seed = derive(seed, "network")
    make_gate = _gate(gate, dict(gate_options or {}))
    encoder = None
    if spec.encoder_hidden:
        encoder = make_module(_Encoder(spec.encoder_hidden), shape, derive(seed, "encoder"))
        shape = output_shape(encoder, shape)
    layers = []
    for depth, factory in enumerate(
        _checked(lambda: cut(expert_factory(spec).stages(), spec.layers))
    ):
        build = partial(
            MoELayer,
            factory,
            make_gate(math.prod(shape)),
            shape,
            experts=experts,
            shared=spec.shared_expert,
            seed=derive(seed, "layer", depth) if depth else seed,
            resident=spec.resident,
        )
        layers.append(_checked(build))
        shape = layers[-1].out_shape
    return MoENetwork(Chain(layers, encoder), seed)


def _gate(name: str, options: dict[str, Any]) -> Callable[[int], Gate]:
    """Return a function from a number of features to the gate ``name``, with checked options."""
    if "in_features" in options:
        raise InputError("gate_options.in_features: is set by the network; remove it")
    given = {"in_features": 1, **options}
    tried: Gate = catalog.make("gate", Gate, name, given, "gate_options", name_place="gate")
    return partial(type(tried), **options)


class _Encoder:
    """The shared layers before the first expert."""

    def __init__(self, hidden: list[int]) -> None:
        self.hidden = hidden

    def __call__(self, in_shape: Shape) -> nn.Module:
        stages: list[StageFactory] = MLPExpert(self.hidden).stages()
        return cut(stages, 1)[0](in_shape)


def _checked(build: Callable[[], Built]) -> Built:
    """Turn a network's errors about its sizes into an error that names the table."""
    try:
        with enough_memory("network", "give smaller widths, or fewer layers"):
            return build()
    except InputError:
        raise
    except (ValueError, RuntimeError) as error:  # of shapes, torch's are the latter
        raise InputError(f"network: {error}") from error
