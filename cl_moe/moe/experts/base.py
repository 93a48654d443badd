"""The interface of expert kinds: factories of stages that form a trunk."""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Literal

import torch
from torch import nn

__all__ = (
    "ExpertFactory",
    "HostExpert",
    "Placement",
    "Shape",
    "StageFactory",
    "Stages",
    "cut",
    "floats",
    "make_module",
    "output_shape",
    "stages_of",
)

Shape = tuple[int, ...]
Placement = Literal["replace", "add", "output"]
"""The combination with a host: replace it, add to its output, or add a function of its output."""
StageFactory = Callable[[Shape], nn.Module]
"""Makes a module for inputs of one shape (without the batch dimension)."""


class ExpertFactory(ABC):
    """Describes a trunk from input to features as stages that can be cut into MoE layers.

    The dense network is the whole trunk; with one MoE layer each expert is a whole trunk; with L
    layers an expert of layer l is the l-th part of it. So a path through a mixture always has as
    many active parameters as the dense network.
    """

    @abstractmethod
    def stages(self) -> list[StageFactory]:
        """Return the trunk's stages, from the input up."""

    @abstractmethod
    def widened(self, factor: float) -> ExpertFactory:
        """Return the same kind with every width multiplied by ``factor`` (rounded, at least 1)."""


class HostExpert(ABC):
    """Describes experts for a module of another package's network, their host.

    Attributes:
        placement: ``replace``: an expert takes the host's place; ``add``: it reads what the host
            reads, and its output is added to the host's; ``output``: it reads the host's output,
            and its own is added to that.
    """

    placement: Placement

    @abstractmethod
    def make(self, host: nn.Module, in_shape: Shape, out_shape: Shape) -> nn.Module:
        """Return an expert for a host with these input and output shapes, without the batch.

        Raises:
            ValueError: the kind does not support such a host.
        """


def cut(stages: Sequence[StageFactory], layers: int) -> list[StageFactory]:
    """Group a trunk's stages into ``layers`` parts of nearly equal length, lower parts longer.

    >>> [len(part) for part in _groups(list(range(5)), 2)]
    [3, 2]
    """
    if not 1 <= layers <= len(stages):
        raise ValueError(
            f"layers: {layers} cannot be cut from a trunk of {len(stages)} stages; "
            f"give 1 to {len(stages)}"
        )
    return [_Chain(part) for part in _groups(list(stages), layers)]


def _groups(items: list[StageFactory], parts: int) -> list[list[StageFactory]]:
    ends = [math.ceil(len(items) * (i + 1) / parts) for i in range(parts)]
    return [items[start:end] for start, end in zip([0, *ends], ends, strict=False)]


class Stages(nn.Sequential):
    """Several stages of a trunk as one expert; the output of each stage can be read."""


def stages_of(expert: nn.Module) -> list[nn.Module]:
    """Return an expert's stages from the input up; an expert without stages is one stage."""
    return list(expert) if isinstance(expert, Stages) else [expert]


class _Chain:
    """Several stages as one."""

    def __init__(self, stages: Sequence[StageFactory]) -> None:
        self.stages = list(stages)

    def __call__(self, in_shape: Shape) -> nn.Module:
        modules: list[nn.Module] = []
        for stage in self.stages:
            modules.append(stage(in_shape))
            in_shape = output_shape(modules[-1], in_shape)
        return modules[0] if len(modules) == 1 else Stages(*modules)


def output_shape(module: nn.Module, in_shape: Shape) -> Shape:
    """Return the shape, without the batch, that ``module`` gives for inputs of ``in_shape``.

    >>> output_shape(nn.Linear(3, 5), (3,))
    (5,)
    """
    was_training = module.training
    with torch.no_grad():
        out: torch.Tensor = module.eval()(torch.zeros(1, *in_shape))
    module.train(was_training)
    return tuple(out.shape[1:])


def floats(x: torch.Tensor) -> torch.Tensor:
    """Return rows in floating point for linear maps: integers, such as token ids, as float32.

    >>> floats(torch.tensor([[1, 2]])).dtype
    torch.float32
    """
    return x if x.is_floating_point() else x.float()


def make_module(factory: StageFactory, in_shape: Shape, seed: int) -> nn.Module:
    """Make a module whose initial parameters depend on ``seed`` only.

    >>> a, b = (make_module(lambda s: nn.Linear(*s, 2), (3,), seed=1) for _ in range(2))
    >>> bool(torch.equal(a.weight, b.weight))
    True
    """
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(seed)
        return factory(in_shape)
