"""The arguments of public functions, checked against their annotations."""

from __future__ import annotations

import functools
import inspect
import math
import numbers
import sys
import types
import typing
from collections.abc import Callable, Iterable, Mapping, Sized
from typing import Any, TypeVar

from cl_moe.errors import InputError, shortened

__all__ = ("checked",)

Function = TypeVar("Function", bound=Callable[..., Any])


def checked(
    ranges: Mapping[str, tuple[float, float]] | None = None, free: Iterable[str] = ()
) -> Callable[[Function], Function]:
    """Return a decorator: invalid arguments raise an InputError that names each of them.

    Types are those of the annotations: plain types, classes, mappings and collections; other
    annotations accept any value. Python itself reports arguments that are missing or unknown.

    Args:
        ranges: lowest and highest value of parameters, numbers or lists of numbers.
        free: parameters of any type, which the function checks itself.

    >>> @checked({"experts": (0, 10)})
    ... def make(name: str, *, experts: int = 1) -> None: ...
    >>> make(3, experts=-1)
    Traceback (most recent call last):
    ...
    cl_moe.errors.InputError: name: 3 is not a text
    experts: -1 is not within 0 to 10
    """

    def decorate(function: Function) -> Function:
        signature = inspect.signature(function)

        @functools.wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            try:
                given = signature.bind(*args, **kwargs).arguments
            except TypeError:
                return function(*args, **kwargs)  # Python says what is missing or unknown
            given = {name: value for name, value in given.items() if name not in free}
            problems = _problems(given, _hints(function), ranges or {})
            if problems:
                raise InputError(problems)
            return function(*args, **kwargs)

        return typing.cast(Function, call)

    return decorate


@functools.lru_cache(maxsize=64)
def _hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Return the annotations that can be evaluated: some name classes for type checkers alone."""
    scope = vars(sys.modules[function.__module__])
    found: dict[str, Any] = {}
    for name, annotation in function.__annotations__.items():
        holder = types.SimpleNamespace(__annotations__={name: annotation})
        try:
            found |= typing.get_type_hints(holder, globalns=dict(scope))
        except (NameError, TypeError, AttributeError):
            continue
    return found


def _problems(
    given: Mapping[str, Any], hints: Mapping[str, Any], ranges: Mapping[str, tuple[float, float]]
) -> list[str]:
    problems = []
    for name, value in given.items():
        if name in hints and not _fits(value, hints[name]):
            problems.append(f"{name}: {shortened(value)} is not {_words(hints[name])}")
        elif name in ranges and value is not None:
            low, high = ranges[name]
            inside = value if isinstance(value, Iterable) else [value]
            if not all(low <= number <= high for number in inside):
                problems.append(f"{name}: {shortened(value)} is not within {low} to {high}")
    return problems


_PLAIN: Mapping[Any, tuple[type, str]] = types.MappingProxyType(
    {
        int: (numbers.Integral, "a whole number"),
        float: (numbers.Real, "a finite number"),
        str: (str, "a text"),
        bool: (bool, "true or false"),
        type(None): (type(None), "None"),
    }
)


def _fits(value: Any, hint: Any) -> bool:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, choice) for choice in inner)
    if origin is typing.Literal:
        return isinstance(value, (str, int)) and value in inner
    if hint in _PLAIN:
        number = hint in (int, float)
        if number and (isinstance(value, bool) or (value != value) is True):
            return False
        return isinstance(value, _PLAIN[hint][0]) and not (number and _infinite(value))
    kind = hint if origin is None else origin
    if kind is Any or not inspect.isclass(kind) or getattr(kind, "_is_protocol", False):
        return True
    if issubclass(kind, Mapping):
        return isinstance(value, Mapping)
    if issubclass(kind, Iterable) and origin is not None:
        return _is_list(value, inner[0] if inner else Any)
    if kind is type:
        return isinstance(value, type) and issubclass(value, inner or object)
    return isinstance(value, kind)


def _is_list(value: Any, hint: Any) -> bool:
    """Tell whether a value can be iterated over, and its items fit; a text is a list of texts."""
    if not isinstance(value, Iterable) or isinstance(value, Mapping):
        return False
    return not isinstance(value, Sized) or all(_fits(item, hint) for item in value)


def _infinite(value: Any) -> bool:
    return isinstance(value, float) and math.isinf(value)


def _words(hint: Any) -> str:
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(_words(choice) for choice in inner)
    if origin is typing.Literal:
        return " or ".join(repr(word) for word in inner)
    if hint in _PLAIN:
        return _PLAIN[hint][1]
    kind = hint if origin is None else origin
    if not inspect.isclass(kind) or kind is Any:
        return "a value of another type"
    if issubclass(kind, Mapping):
        return "a dict"
    if issubclass(kind, Iterable) and origin is not None:
        return f"a list (each {_words(inner[0])})" if inner else "a list"
    return f"a {kind.__name__}"
