"""Methods by name: what each is given, what it returns, and how one is built."""

from __future__ import annotations

import inspect
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cl_moe import catalog
from cl_moe.errors import InputError

if TYPE_CHECKING:
    from cl_moe.strategies.baselines.closed_form import Fit
    from cl_moe.streams.spec import NetworkSpec, TrainingSpec
    from cl_moe.streams.stream import TaskStream
    from cl_moe.training.model import TaskModel

__all__ = ("Method", "MethodContext", "build_method", "closed_form", "require", "sequential")


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


@dataclass
class Method:
    """A method that is ready to learn.

    Attributes:
        strategy: an Avalanche ``SupervisedTemplate``.
        joint: it learns once, from all experiences together, at the end of the stream.
    """

    strategy: Any
    joint: bool = False


def build_method(type: str, parameters: Mapping[str, Any], context: MethodContext) -> Method:
    """Return the method called ``type``.

    Args:
        type: a name of the catalogue (``"ewc"``), or the ``package.module:name`` of one's own
            function, ``def mine(context: MethodContext, /, *, strength: float = 1.0) -> Method``,
            or of an Avalanche strategy (``"avalanche.training:GDumb"``), which is given model,
            optimizer, criterion, batch sizes, epochs and device where its signature takes them.
        parameters: its parameters.
        context: what all methods are given.

    Raises:
        InputError: no such method, parameters that do not fit its signature, or a network that
            would have to train on one row: all problems.
    """
    place = f"method '{type}'"
    target = catalog.resolve("method", type, place)
    if inspect.isclass(target):
        from cl_moe.strategies.foreign import build_foreign

        return _fits(build_foreign(target, parameters, context, place), context)
    problems = catalog.check_parameters(target, parameters, place)
    if problems:
        raise InputError(problems)
    method = _called(target, parameters, context, place)
    if not isinstance(method, Method):
        raise InputError(
            f"{place}: gives {_a(method)}, not a Method; return "
            "cl_moe.strategies.methods.base.Method(strategy)"
        )
    return _fits(method, context)


def _fits(method: Method, context: MethodContext) -> Method:
    """Return a method that trains a network unless that would have to train on one row alone."""
    from cl_moe.strategies.baselines.closed_form import ClosedFormNetwork
    from cl_moe.strategies.single_rows import single_row_problems

    network = getattr(getattr(method.strategy, "model", None), "network", None)
    computed = isinstance(network, ClosedFormNetwork)
    if not computed and (problems := single_row_problems(context, method.joint)):
        raise InputError(problems)
    return method


def _called(
    target: Any, parameters: Mapping[str, Any], context: MethodContext, place: str
) -> object:
    """Return what a method's function gives; problems of its parameters name the method."""
    try:
        return target(context, **parameters)
    except InputError as error:
        own = catalog.parameters(target)
        raise InputError(
            f"{place}.{problem}" if problem.split(":")[0].split(".")[0] in own else problem
            for problem in error.problems
        ) from error


def sequential(
    context: MethodContext, model: TaskModel | None = None, plugins: Iterable[Any] = ()
) -> Method:
    """Return the method that trains ``model`` (None: the dense network) task by task.

    Args:
        context: what all methods are given.
        model: any network of ours as an Avalanche module.
        plugins: Avalanche plugins, which make the method what it is.
    """
    from cl_moe.strategies.networks import build_dense
    from cl_moe.training.strategy import Strategy

    strategy = Strategy(
        model=build_dense(context) if model is None else model,
        training=context.training,
        plugins=list(plugins),
        device=context.device,
    )
    return Method(strategy)


def closed_form(context: MethodContext, fit: Fit) -> Method:
    """Return the method that computes a classifier for each task and trains nothing.

    Args:
        context: what all methods are given.
        fit: makes a classifier from rows (N, D), labels (N) and the number of classes.
    """
    from cl_moe.seeding import derive
    from cl_moe.strategies.baselines.closed_form import ClosedFormNetwork, ClosedFormPlugin
    from cl_moe.training.model import TaskModel

    seed = derive(context.seed, "network")
    network = ClosedFormNetwork(fit, tuple(context.stream.shape), seed)
    return sequential(context, TaskModel(network), [ClosedFormPlugin()])


def require(conditions: Mapping[str, bool]) -> None:
    """Raise an InputError with every sentence whose condition does not hold.

    >>> require({"memory: 0 is too small; give 1 or more": False})
    Traceback (most recent call last):
    ...
    cl_moe.errors.InputError: memory: 0 is too small; give 1 or more
    """
    problems = [sentence for sentence, holds in conditions.items() if not holds]
    if problems:
        raise InputError(problems)


def _a(value: object) -> str:
    return f"an object of {type(value).__module__}.{type(value).__qualname__}"
