"""A signature as a schema: the parameters of a part, and the check of given ones."""

from __future__ import annotations

import inspect
import math
import types
import typing
from collections.abc import Mapping
from typing import Any

from cl_moe.errors import did_you_mean, shortened

__all__ = ("LARGEST", "LARGEST_FLOAT", "check_parameters", "parameters")

LARGEST = 10**12
"""Largest whole number that a parameter may be; smaller limits are the part's own."""
LARGEST_FLOAT = 1e38
"""Largest other number: what float32 can hold."""


def parameters(target: Any) -> dict[str, inspect.Parameter]:
    """Return the parameters that a user may set: the keyword-only ones, or all if there are none.

    The parameter ``context`` is given to every method and cannot be set by the user.

    >>> def method(context, *, strength: float = 1.0): ...
    >>> list(parameters(method))
    ['strength']
    """
    found = {
        name: parameter
        for name, parameter in inspect.signature(target).parameters.items()
        if parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
        and name != "context"
    }
    keyword = {n: p for n, p in found.items() if p.kind is p.KEYWORD_ONLY}
    return keyword or found


def check_parameters(target: Any, given: Mapping[str, Any], place: str) -> list[str]:
    """Return every problem of calling ``target`` with ``given``: the signature is the schema.

    >>> def method(context, *, strength: float = 1.0, mode: str = "online"): ...
    >>> for problem in check_parameters(method, {"strenght": 2, "mode": 3}, "methods[1]"):
    ...     print(problem)
    methods[1].strenght: no such parameter; did you mean 'strength'?
    methods[1].mode: 3 is not a str
    """
    known = parameters(target)
    open_ended = any(p.kind is p.VAR_KEYWORD for p in inspect.signature(target).parameters.values())
    try:
        hints = typing.get_type_hints(target.__init__ if inspect.isclass(target) else target)
    except (NameError, TypeError, AttributeError):
        hints = {}
    problems = []
    for name, value in given.items():
        if name not in known:
            if not open_ended:
                problems.append(f"{place}.{name}: no such parameter; {did_you_mean(name, known)}")
        elif name in hints and not _fits(value, hints[name]):
            problems.append(f"{place}.{name}: {shortened(value)} is not {_a(hints[name])}")
        elif name in hints and (most := _exceeded(value)) is not None:
            problems.append(f"{place}.{name}: {shortened(value)} is too large; give {most} or less")
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in given:
            problems.append(f"{place}.{name}: missing; give {_a(hints.get(name, object))}")
    return problems


def _exceeded(value: Any) -> float | None:
    """Return the limit that a number, or one in a list, exceeds."""
    if isinstance(value, (list, tuple)):
        return next((most for item in value if (most := _exceeded(item)) is not None), None)
    if not isinstance(value, (int, float)):
        return None
    most = LARGEST_FLOAT if isinstance(value, float) else LARGEST
    return most if abs(value) > most else None


def _fits(value: Any, hint: Any) -> bool:
    """Tell whether a TOML value fits an annotation; unsupported annotations accept any value."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if hint is float:
        if isinstance(value, float):
            return math.isfinite(value)
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint in (str, bool):
        return isinstance(value, hint)
    if hint is type(None):
        return value is None
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return isinstance(value, Mapping)
    if isinstance(origin, type) and issubclass(origin, typing.Collection):
        if not isinstance(value, (list, tuple)):
            return False
        if origin is tuple and Ellipsis not in arguments:
            return len(value) == len(arguments) and all(map(_fits, value, arguments))
        return not arguments or all(_fits(item, arguments[0]) for item in value)
    return True


def _a(hint: Any) -> str:
    if typing.get_origin(hint) is typing.Literal:
        return "one of " + ", ".join(repr(choice) for choice in typing.get_args(hint))
    if hint is float:
        return "a finite number"
    name = hint.__name__ if inspect.isclass(hint) and not typing.get_args(hint) else str(hint)
    return ("an " if name[0] in "aeiou" else "a ") + name
