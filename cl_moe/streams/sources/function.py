"""A user's function that returns data."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

from cl_moe import catalog
from cl_moe.errors import InputError, did_you_mean
from cl_moe.streams.inputs import batch_inputs
from cl_moe.streams.labels import class_numbers, plain_labels
from cl_moe.streams.sources.base import Source, SourceData, encode

__all__ = ("Function",)


@dataclass(frozen=True)
class Function(Source):
    """Data from a user's ``package.module:function`` or ``file.py:function``.

    It returns a :class:`~cl_moe.streams.sources.base.SourceData`, or (train_x, train_y, test_x,
    test_y) or (train_x, train_y, test_x, test_y, classes) of arrays or tensors, converted as for
    a :class:`~cl_moe.streams.task.Task`. It receives ``seed`` and ``data_dir`` if it has parameters
    with these names. In a scenario the function may also be the ``type`` itself, with its arguments
    as keys of the table. For objectives other than classification it returns a SourceData. If its
    data may be missing, it has an attribute ``available``, a function of ``data_dir`` that returns
    None or the reason; a slot then takes its next source.

    Args:
        function: ``package.module:function``, or ``file.py:function`` with a file of the current
            folder or of the folder of built-in scenarios.
        arguments: passed by keyword.

    >>> Function("sklearn.datasets:load_wine").function
    'sklearn.datasets:load_wine'
    """

    seeded: ClassVar[bool] = True

    function: str
    arguments: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if ":" not in self.function:
            raise InputError(
                f"function: '{self.function}' is not module:function or file.py:function"
            )
        target = catalog.resolve("source", self.function, "function")
        if not callable(target):
            raise InputError(f"function: '{self.function}' is not a function")
        known = inspect.signature(target).parameters
        kinds = {parameter.kind for parameter in known.values()}
        problems = [
            f"arguments.{name}: no such parameter; {did_you_mean(name, known)}"
            for name in self.arguments
            if name not in known and inspect.Parameter.VAR_KEYWORD not in kinds
        ]
        problems += [
            f"arguments.{name}: missing; the function requires it"
            for name, parameter in known.items()
            if parameter.default is parameter.empty
            and parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY)
            and name not in {*self.arguments, "seed", "data_dir"}
        ]
        if problems:
            raise InputError(problems)

    def available(self, data_dir: Path | None) -> str | None:
        """Return the result of the function's ``available``, if it has one, else None."""
        ask = getattr(catalog.resolve("source", self.function), "available", None)
        return None if ask is None else ask(data_dir)

    def _extra(self, target: Any) -> set[str]:
        return {"seed", "data_dir"} & set(inspect.signature(target).parameters)

    def load(self, *, seed: int, data_dir: Path | None) -> SourceData:
        """Return the function's data as tensors."""
        target = catalog.resolve("source", self.function)
        offered = {"seed": seed, "data_dir": data_dir}
        extra = {key: offered[key] for key in self._extra(target)}
        result = target(**{**self.arguments, **extra})
        if isinstance(result, SourceData):
            return result
        if not isinstance(result, tuple) or len(result) not in (4, 5):
            raise InputError(
                f"{self.function}: returned {type(result).__name__}; return SourceData, or a tuple "
                "(train_x, train_y, test_x, test_y[, classes])"
            )
        try:
            return _data(result[:4], result[4] if len(result) == 5 else None)
        except InputError as error:
            raise InputError([f"{self.function}: {p}" for p in error.problems]) from error


def _data(arrays: tuple[Any, ...], names: Any) -> SourceData:
    train_x, train_y, test_x, test_y = arrays
    inputs = [batch_inputs(x, keep_bytes=True) for x in (train_x, test_x)]
    words = plain_labels(train_y)
    if names is not None:
        classes = tuple(str(name) for name in names)
    elif any(isinstance(word, str) for word in words):
        classes = encode([str(word) for word in words])[1]
    else:  # no more classes than examples, whatever the highest label
        highest = max((int(word) for word in words), default=-1)
        classes = tuple(str(k) for k in range(min(highest + 1, len(words))))
    labels = [class_numbers(y, classes=classes) for y in (train_y, test_y)]
    return SourceData(inputs[0], labels[0], inputs[1], labels[1], classes)
