"""What every method is given, and what it returns."""

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
    """What every method is given; all methods of a study are given the same.

    Attributes:
        stream: the tasks to come: methods read the number of tasks, classes and the input shape
            from it, never data.
        network: the network a dense method trains, and an expert of a mixture.
        training: optimizer and budget.
        seed: everything random in a method is derived from it.
        device: where to compute.
    """

    stream: TaskStream
    network: NetworkSpec
    training: TrainingSpec
    seed: int
    device: str = "cpu"

    @property
    def objectives(self) -> dict[int, Objective]:
        """The objective of each task and probe, by its label."""
        return {k: task.objective for k, task in enumerate((*self.stream, *self.stream.probes))}


class Method:
    """A method that is ready to learn.

    Args:
        strategy: an Avalanche ``SupervisedTemplate``, or a function without parameters that makes
            one. It is called when the strategy is first asked for: a scenario is checked without
            Avalanche, whose import takes seconds.
        joint: it learns once, from all experiences together, at the end of the stream.
        trains: it trains the study's network, by gradient descent.

    >>> method = Method(lambda: "a strategy")
    >>> method.strategy
    'a strategy'
    """

    def __init__(self, strategy: Any, joint: bool = False, trains: bool = True) -> None:
        self._strategy, self.joint, self.trains = strategy, joint, trains

    @property
    def strategy(self) -> Any:
        """The strategy, the same one each time."""
        if inspect.isfunction(self._strategy):
            self._strategy = self._strategy()
        return self._strategy
