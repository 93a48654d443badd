"""Methods by name: what each is given, what it returns, and how one is built."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from cl_moe import catalog
from cl_moe.errors import InputError

if TYPE_CHECKING:
    from cl_moe.strategies.baselines.closed_form import Fit
    from cl_moe.streams.spec import NetworkSpec, TrainingSpec
    from cl_moe.streams.task import TaskStream
    from cl_moe.training.model import TaskModel

__all__ = (
    "Method",
    "MethodContext",
    "build_method",
    "closed_form",
    "require",
    "require_objective",
    "sequential",
)


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
        InputError: no such method, or parameters that do not fit its signature: all problems.
    """
    place = f"method '{type}'"
    target = catalog.resolve("method", type, place)
    if inspect.isclass(target):
        from cl_moe.strategies.foreign import build_foreign

        return build_foreign(target, parameters, context, place)
    problems = catalog.check_parameters(target, parameters, place)
    if problems:
        raise InputError(problems)
    method = _called(target, parameters, context, place)
    if not isinstance(method, Method):
        raise InputError(
            f"{place}: gives {_a(method)}, not a Method; return "
            "cl_moe.strategies.methods.base.Method(strategy)"
        )
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


def require_objective(
    context: MethodContext, method: str, known: Collection[str], why: str
) -> None:
    """Raise an InputError where a task or probe has an objective that a method cannot learn.

    Args:
        context: what all methods are given.
        method: its name.
        known: names of the objectives that it learns.
        why: what it does that others do not fit; completes "METHOD ...".
    """
    others = [
        task
        for task in (*context.stream, *context.stream.probes)
        if task.objective.name not in known
    ]
    if others:
        more = f" (and of {len(others) - 1} more)" if len(others) > 1 else ""
        raise InputError(
            f"method '{method}': {why}, and the objective of task '{others[0].name}'{more} is "
            f"{others[0].objective.name}; leave it out, or give tasks of {' or '.join(known)}"
        )


def _a(value: object) -> str:
    return f"an object of {type(value).__module__}.{type(value).__qualname__}"
