"""Construction of methods by name, and building blocks of methods."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Any

from cl_moe import catalog
from cl_moe.errors import InputError
from cl_moe.strategies.context import Method, MethodContext

if TYPE_CHECKING:
    from cl_moe.moe.dense import TaskNetwork
    from cl_moe.moe.network import MoENetwork
    from cl_moe.training.model import TaskModel

__all__ = (
    "Method",
    "MethodContext",
    "build_method",
    "require",
    "require_objective",
    "sequential",
)

Plugins = Iterable[Any] | Callable[[], Iterable[Any]]


def build_method(
    type: str | Callable[..., Any],
    parameters: Mapping[str, Any],
    context: MethodContext,
    name: str | None = None,
) -> Method:
    """Return the method called ``type``.

    Args:
        type: a name of the catalogue (``"ewc"``), or the ``package.module:name`` of a user's
            function, ``def mine(context: MethodContext, /, *, strength: float = 1.0) -> Method``,
            or of an Avalanche strategy (``"avalanche.training:GDumb"``), which gets model,
            optimizer, criterion, batch sizes, epochs and device where they are in its signature; or
            such a function or strategy itself.
        parameters: its parameters.
        context: what all methods are given.
        name: its name in the study, for errors; by default ``type``.

    Raises:
        InputError: no such method, parameters that do not fit its signature, or a network that
            would have to train on one row: all problems.
    """
    if isinstance(type, str):
        place = f"method '{name or type}'"
        target = catalog.resolve("method", type, place)
    else:
        place, target = f"method '{name or type.__qualname__}'", type
    if inspect.isclass(target):
        from cl_moe.strategies.external import build_external

        method = build_external(target, parameters, context, place)
    else:
        method = catalog.build(target, parameters, place, context)
    if not isinstance(method, Method):
        raise InputError(
            f"{place}: returns {_a(method)} instead of a Method; return "
            "cl_moe.strategies.methods.base.Method(strategy)"
        )
    if method.trains:
        from cl_moe.strategies.single_rows import single_row_problems

        if problems := single_row_problems(context, method.joint):
            raise InputError(problems)
    return method


def sequential(
    context: MethodContext,
    model: TaskModel | TaskNetwork | MoENetwork | None = None,
    plugins: Plugins = (),
) -> Method:
    """Return a method that trains ``model`` (None: the dense network) task by task.

    Args:
        context: what all methods are given.
        model: a cl_moe network, possibly as a :class:`~cl_moe.training.model.TaskModel`.
        plugins: the Avalanche plugins of the method, or a function that makes them.

    Raises:
        InputError: the dense network cannot be built.
    """
    from cl_moe.strategies.networks import dense_network

    network = dense_network(context) if model is None else model

    def strategy() -> Any:
        from cl_moe.training.model import TaskModel
        from cl_moe.training.strategy import Strategy

        return Strategy(
            model=network
            if isinstance(network, TaskModel)
            else TaskModel(network, objectives=context.objectives),
            training=context.training,
            plugins=list(plugins() if callable(plugins) else plugins),
            device=context.device,
        )

    return Method(strategy)


def require(conditions: Mapping[str, bool]) -> None:
    """Raise an InputError with every sentence whose condition is False.

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
        why: the reason, which completes "METHOD ...".
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
            f"{others[0].objective.name}; remove the method, or give tasks of {' or '.join(known)}"
        )


def _a(value: object) -> str:
    return f"an object of {type(value).__module__}.{type(value).__qualname__}"
