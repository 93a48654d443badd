"""Construction of sources from a scenario's tables, and loading of their data."""

from __future__ import annotations

import inspect
from collections import OrderedDict
from pathlib import Path

from cl_moe import catalog
from cl_moe.errors import InputError, enough_memory
from cl_moe.streams.sources.base import Source, SourceData
from cl_moe.streams.spec import SourceSpec

__all__ = ("load_once", "make_source")


def make_source(spec: SourceSpec, place: str) -> Source:
    """Return the source of a scenario's table; its type may be a user's function.

    Raises:
        InputError: unknown type, or unknown, missing or invalid parameters: all problems.

    >>> make_source(SourceSpec(type="digits"), "sources.digits")
    Digits()
    """
    assert spec.type is not None, "a slot is resolved before its source is made"
    found = catalog.resolve("source", spec.type, f"{place}.type")
    source: Source
    if inspect.isclass(found) and issubclass(found, Source):
        source = catalog.make(
            "source", Source, spec.type, spec.parameters, place, name_place=f"{place}.type"
        )
        return source
    own_function = {"function": spec.type, "arguments": dict(spec.parameters)}
    try:
        source = catalog.make("source", Source, "function", own_function, place)
    except InputError as error:  # the arguments are keys of the table itself
        start = f"{place}.arguments."
        raise InputError(
            f"{place}.{problem.removeprefix(start)}" if problem.startswith(start) else problem
            for problem in error.problems
        ) from error
    return source


_LOADED: OrderedDict[tuple[str, str, int], SourceData] = OrderedDict()
_KEPT = 16


def load_once(source: Source, *, seed: int, data_dir: Path | None, place: str) -> SourceData:
    """Return the validated data of a source; the last sixteen are cached in this process.

    Raises:
        InputError: the data are missing or cannot be used.
    """
    key = (repr(source), str(data_dir), seed if source.seeded else -1)
    if key not in _LOADED:
        reason = source.available(data_dir)
        if reason is not None:
            raise InputError(f"{place}: {reason}")
        data = _loaded(source, seed, data_dir, place)
        problems = data.problems(place)
        if problems:
            raise InputError(problems)
        _LOADED[key] = data
        if len(_LOADED) > _KEPT:
            _LOADED.popitem(last=False)
    _LOADED.move_to_end(key)
    return _LOADED[key]


def _loaded(source: Source, seed: int, data_dir: Path | None, place: str) -> SourceData:
    try:
        with enough_memory(place, "use smaller data, or a machine with more"):
            data: object = source.load(seed=seed, data_dir=data_dir)
    except InputError:
        raise
    except Exception as error:  # damaged files and users' functions may raise any error
        raise InputError(
            f"{place}: cannot be loaded ({type(error).__name__}: {error}); "
            "check that its files are complete and its parameters valid"
        ) from error
    if not isinstance(data, SourceData):
        raise InputError(f"{place}: returns {type(data).__name__}; a source must return SourceData")
    return data
