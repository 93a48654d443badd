"""Parts by name: a file in a part's folder is the part; nothing is imported before it is asked for.

A folder of parts (such as ``cl_moe/moe/gates``) holds one part per file. The file's name is the
part's name in TOML and on the command line, and its ``__all__`` names the one public object. Files
called ``base`` or starting with an underscore are not parts. Parts from elsewhere are given as
``package.module:Object`` or ``file.py:Object``, or declared as an entry point of the group
``cl_moe.<kind>``.
"""

from __future__ import annotations

import dataclasses
import functools
import importlib
import inspect
import pkgutil
import re
import sys
import types
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from cl_moe.errors import InputError, did_you_mean
from cl_moe.parameters import check_parameters, parameters
from cl_moe.references import NotImportedError, load, scenario_folder

__all__ = (
    "KINDS", "TABLES", "build", "canonical", "check_parameters", "make", "names", "parameters",
    "resolve",
    "scenario_folder", "summary",
)  # fmt: skip

KINDS: Mapping[str, str] = types.MappingProxyType(
    {
        "gate": "cl_moe.moe.gates",
        "head": "cl_moe.moe.heads",
        "expert": "cl_moe.moe.experts",
        "growth": "cl_moe.continual.growth",
        "source": "cl_moe.streams.sources",
        "operator": "cl_moe.streams.operators",
        "method": "cl_moe.strategies.methods",
    }
)

TABLES: Mapping[str, str] = types.MappingProxyType(
    {
        "metric": "cl_moe.analysis.metrics.names:METRICS",
        "figure": "cl_moe.analysis.plots.every:FIGURES",
    }
)
"""Kinds whose parts are values, in a table by name."""

_WORDS = {"growth": "growth policy"}

_ALIASES = types.MappingProxyType({("method", "alone"): "single_task"})  # alias: name
"""Other names of parts, by (kind, alias)."""


def canonical(kind: str, name: str) -> str:
    """Return the catalogue's name of a part that is given by an alias or with dashes.

    >>> canonical("method", "alone"), canonical("gate", "multi-gate")  # the first is an alias
    ('single_task', 'multi_gate')
    """
    name = name if ":" in name else name.replace("-", "_")
    return _ALIASES.get((kind, name), name)


def names(kind: str) -> list[str]:
    """Return the names of all parts of a kind, sorted; of :data:`KINDS` without importing any.

    >>> "task" in names("gate")
    True
    """
    own = set(_table(kind)) if kind in TABLES else _shipped(kind)
    return sorted(own | {entry.name for entry in _entry_points(kind)})


def _shipped(kind: str) -> set[str]:
    root = Path(__file__).parent.joinpath(*KINDS[kind].split(".")[1:])
    return {
        module.name
        for module in pkgutil.iter_modules([str(root)])
        if module.name != "base" and not module.name.startswith("_")
    }


def _table(kind: str) -> Mapping[str, Any]:
    module, _, name = TABLES[kind].partition(":")
    table: Mapping[str, Any] = getattr(importlib.import_module(module), name)
    return table


@functools.lru_cache
def _entry_points(kind: str) -> tuple[metadata.EntryPoint, ...]:
    """Return the entry points of other packages; cached, as every installed package is read.

    The current folder, which is searched for users' modules, holds no installed package.
    """
    here = Path.cwd()
    places = [place for place in sys.path if place and Path(place).resolve() != here]
    return tuple(
        entry
        for package in metadata.distributions(path=places)
        for entry in package.entry_points
        if entry.group == f"cl_moe.{kind}"
    )


def resolve(kind: str, name: str, place: str = "") -> Any:
    """Import and return the part called ``name``.

    Args:
        kind: one of :data:`KINDS` or :data:`TABLES`.
        name: a catalogue name or alias (dashes and underscores are the same),
            ``package.module:Object``, or ``file.py:Object`` with a file of the current folder or
            beside the shipped scenarios.
        place: where the name was given, for the error (``methods[2].gate``).

    Raises:
        InputError: no such part, or its module cannot or may not be imported
            (:mod:`cl_moe.references`).

    >>> resolve("gate", "task").__name__
    'TaskGate'
    >>> resolve("gate", "taks", place="methods[0].gate")
    Traceback (most recent call last):
    ...
    cl_moe.errors.InputError: methods[0].gate: no gate is called 'taks'; did you mean 'task'?
    """
    at = f"{place}: " if place else ""
    if ":" in name:
        return _load(name, at, kind, installed=_is_installed(kind, name))
    name = canonical(kind, name)
    for entry in _entry_points(kind):
        if entry.name == name:
            return _load(entry.value, at, kind, installed=True)
    if name not in names(kind):
        raise InputError(f"{at}no {kind} is called '{name}'; {did_you_mean(name, names(kind))}")
    return _table(kind)[name] if kind in TABLES else _part(kind, name)


def _part(kind: str, name: str) -> Any:
    module = importlib.import_module(f"{KINDS[kind]}.{name}")
    (public,) = module.__all__
    return getattr(module, public)


def _is_installed(kind: str, reference: str) -> bool:
    """Tell whether a reference names a declared or shipped part, or a strategy of Avalanche."""
    if any(entry.value == reference for entry in _entry_points(kind)):
        return True
    module, _, attribute = reference.partition(":")
    folder, _, name = module.rpartition(".")
    if folder and folder == KINDS.get(kind) and name in _shipped(kind):
        return bool(attribute == _part(kind, name).__qualname__)
    return _is_avalanche(kind, reference)


def _is_avalanche(kind: str, reference: str) -> bool:
    return kind == "method" and re.match(r"avalanche[.:]", reference) is not None


def _load(reference: str, at: str, kind: str, *, installed: bool) -> Any:
    found = load(reference, at, installed=installed)
    if _is_avalanche(kind, reference) and not inspect.isclass(found):
        raise InputError(f"{at}'{reference}' is not a class; give a strategy of Avalanche")
    if not callable(found) and kind not in TABLES:
        raise InputError(f"{at}'{reference}' is {_short(found)}; give a class or a function")
    return found


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def summary(kind: str, name: str) -> str:
    """Return the first line of a part's docstring.

    >>> summary("gate", "task")[-1]
    '.'
    """
    text = inspect.getdoc(resolve(kind, name)) or ""
    return text.split("\n\n")[0].replace("\n", " ")


def make(
    kind: str,
    base: type,
    name: str,
    parameters: Mapping[str, Any],
    place: str,
    name_place: str | None = None,
) -> Any:
    """Return the part called ``name``, made with ``parameters``.

    Args:
        kind: one of :data:`KINDS`.
        base: the class that parts of this kind are subclasses of.
        name: as for :func:`resolve`.
        parameters: what its constructor is given, checked against its signature.
        place: where the parameters were given, for errors (``growth_options``).
        name_place: where the name was given; by default ``place.kind``.

    Raises:
        InputError: no such part, a part of another kind, a missing abstract method, or parameters
            that are unknown, missing or rejected; all problems.

    >>> from cl_moe.moe.gates.base import Gate
    >>> make("gate", Gate, "token", {"in_features": 4, "k": 2}, "gate_options", "gate").k
    2
    >>> make("gate", Gate, "token", {"in_features": 4, "k": 0}, "gate_options", "gate")
    Traceback (most recent call last):
    ...
    cl_moe.errors.InputError: gate_options.k: 0 must be 1 or more experts
    """
    at = f"{place}.{kind}" if name_place is None else name_place
    part = resolve(kind, name, at)
    where = f"{base.__module__}:{base.__qualname__}"
    if not (inspect.isclass(part) and issubclass(part, base)):
        word = _WORDS.get(kind, kind)
        raise InputError(f"{at}: '{name}' is not a valid {word}; give a subclass of {where}")
    abstract = getattr(part, "__abstractmethods__", ())
    missing = ", ".join(f"'{method}'" for method in sorted(abstract))
    if missing:
        raise InputError(f"{at}: '{name}' lacks {missing}; define what {where} leaves open")
    return build(part, parameters, place)


def build(part: Any, parameters: Mapping[str, Any], place: str, *given: Any) -> Any:
    """Return the result of a class or function for ``given`` arguments and ``parameters``.

    InputErrors of a function keep their places, unless they concern its parameters: a method may
    report problems of the network, too. Any other error of a function is a bug and is not caught;
    an error of a class means that it rejects its parameters.

    Raises:
        InputError: parameters that do not fit the signature (all problems), or are rejected.
    """
    problems = check_parameters(part, parameters, place)
    if problems:
        raise InputError(problems)
    if dataclasses.is_dataclass(part):  # its fields stay as they come; TOML has lists alone
        parameters = {k: tuple(v) if isinstance(v, list) else v for k, v in parameters.items()}
    refusals = Exception if inspect.isclass(part) else InputError
    try:
        return part(*given, **parameters)
    except NotImportedError:
        raise
    except refusals as error:
        texts = error.problems if isinstance(error, InputError) else [str(error)]
        raise InputError([_refusal(part, text, error, place) for text in texts]) from error


def _refusal(part: Any, text: str, error: Exception, place: str) -> str:
    if re.split(r"[:.\[]", text)[0] in parameters(part):
        return f"{place}.{text}"
    if isinstance(error, InputError):
        return f"{place}: {text}" if inspect.isclass(part) else text
    kind = type(error).__name__
    return f"{place}: {part.__qualname__} refuses its parameters ({kind}: {text})"
