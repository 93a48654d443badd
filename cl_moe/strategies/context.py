"""The input of every method function, and its result."""

from __future__ import annotations

import inspect
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from cl_moe.objectives.base import Objective
    from cl_moe.streams.spec import NetworkSpec, TrainingSpec
    from cl_moe.streams.stream import TaskStream

__all__ = ("Method", "MethodContext")


@dataclass(frozen=True)
class MethodContext:
    """The settings of a method; all methods of a study get the same ones.

    Attributes:
        stream: the tasks of the stream: methods read the numbers of tasks and classes and the input
            shape from it, not the data.
        network: the network of a dense method, and of an expert of a mixture.
        training: optimizer and training budget.
        seed: the seed that all random numbers of a method are derived from.
        device: the torch device.
    """

    stream: TaskStream
    network: NetworkSpec
    training: TrainingSpec
    seed: int
    device: str = "cpu"

    @property
    def objectives(self) -> dict[int, Objective]:
        """The objectives of tasks and probes, by label."""
        return {k: task.objective for k, task in enumerate((*self.stream, *self.stream.probes))}


class Method:
    """A method that is ready to learn.

    Args:
        strategy: an Avalanche ``SupervisedTemplate``, or a function without parameters that makes
            one. It is called on first access of the strategy, so that a scenario is checked without
            importing Avalanche, which takes seconds.
        joint: whether it trains once, on all experiences together, at the end of the stream.
        trains: whether it trains the study's network by gradient descent.

    >>> method = Method(lambda: "a strategy")
    >>> method.strategy
    'a strategy'
    """

    def __init__(self, strategy: Any, joint: bool = False, trains: bool = True) -> None:
        self._strategy, self.joint, self.trains = strategy, joint, trains

    @property
    def strategy(self) -> Any:
        """The strategy; the same object on each access."""
        if inspect.isfunction(self._strategy):
            self._strategy = self._strategy()
        return self._strategy
