"""Parts by name: a file in a part's folder is the part; nothing is imported before it is asked for.

A folder of parts (say ``cl_moe/moe/gates``) holds one part a file. The file's name is the part's
name in TOML and on the command line, and its ``__all__`` names the one public object. Files called
``base`` or starting with an underscore are not parts. Parts from elsewhere are given as
``package.module:Object`` or ``file.py:Object``, or declared as an entry point of the group
``cl_moe.<kind>``.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import inspect
import math
import pkgutil
import sys
import types
import typing
from collections.abc import Mapping
from importlib import metadata
from pathlib import Path
from typing import Any

from cl_moe.errors import InputError, did_you_mean

__all__ = (
    "KINDS", "check_parameters", "names", "parameters", "resolve", "scenario_folder", "summary",
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


def names(kind: str) -> list[str]:
    """Return the names of all parts of a kind, sorted, without importing any.

    >>> "task" in names("gate")
    True
    """
    root = Path(__file__).parent.joinpath(*KINDS[kind].split(".")[1:])
    own = {
        module.name
        for module in pkgutil.iter_modules([str(root)])
        if module.name != "base" and not module.name.startswith("_")
    }
    return sorted(own | {entry.name for entry in _entry_points(kind)})


@functools.lru_cache
def _entry_points(kind: str) -> tuple[metadata.EntryPoint, ...]:
    """Return what other packages declare; looked up once, as it reads every installed package."""
    return tuple(metadata.entry_points(group=f"cl_moe.{kind}"))


def resolve(kind: str, name: str, place: str = "") -> Any:
    """Import and return the part called ``name``.

    Args:
        kind: one of :data:`KINDS`.
        name: a catalogue name (dashes and underscores are the same), ``package.module:Object``, or
            ``file.py:Object`` with a file of the current folder or beside the shipped scenarios.
        place: where the name was given, for the error (``methods[2].gate``).

    Raises:
        InputError: no such part, or its module cannot be imported.

    >>> resolve("gate", "task").__name__
    'TaskGate'
    >>> resolve("gate", "taks", place="methods[0].gate")
    Traceback (most recent call last):
    ...
    cl_moe.errors.InputError: methods[0].gate: no gate is called 'taks'; did you mean 'task'?
    """
    at = f"{place}: " if place else ""
    if ":" in name:
        return _load(name, at)
    name = name.replace("-", "_")
    for entry in _entry_points(kind):
        if entry.name == name:
            return _load(entry.value, at)
    if name not in names(kind):
        raise InputError(f"{at}no {kind} is called '{name}'; {did_you_mean(name, names(kind))}")
    module = importlib.import_module(f"{KINDS[kind]}.{name}")
    (public,) = module.__all__
    return getattr(module, public)


def _load(reference: str, at: str) -> Any:
    module_name, _, attribute = reference.partition(":")
    try:
        is_file = module_name.endswith(".py")
        found: Any = _run_file(module_name) if is_file else importlib.import_module(module_name)
        for word in attribute.split("."):
            found = getattr(found, word)
    except (Exception, SystemExit) as error:  # a module of the user's may raise anything
        raise InputError(
            f"{at}'{reference}' cannot be loaded ({type(error).__name__}: {error}); "
            "give package.module:Object with the package on Python's path, or file.py:Object"
        ) from error
    if not callable(found):
        raise InputError(f"{at}'{reference}' is {_short(found)}; give a class or a function")
    return found


def scenario_folder() -> Path | None:
    """Return the folder of the shipped scenarios: in the package, or beside it in a checkout."""
    package = Path(__file__).parent
    folders = (package / "scenarios", package.parent / "scenarios")
    return next((folder for folder in folders if folder.is_dir()), None)


def _run_file(name: str) -> types.ModuleType:
    """Return a file of the current folder, or else one beside the shipped scenarios, as a module.

    Its name stays relative in whatever is kept of a study, so that it can be run elsewhere.
    """
    shipped = scenario_folder()
    for path in (Path(name), *([shipped / name] if shipped else [])):
        if path.is_file():
            return _module_of(path.resolve())
    raise ImportError(f"no file {name} in the current folder or beside the shipped scenarios")


@functools.lru_cache
def _module_of(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(f"{path}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


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


def parameters(target: Any) -> dict[str, inspect.Parameter]:
    """Return the parameters a user may set: the keyword-only ones, or all if none is.

    A parameter called ``context`` is what every method is given, not the user's to set.

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
            problems.append(f"{place}.{name}: {value!r} is not {_a(hints[name])}")
    for name, parameter in known.items():
        if parameter.default is parameter.empty and name not in given:
            problems.append(f"{place}.{name}: missing; give {_a(hints.get(name, object))}")
    return problems


def _fits(value: Any, hint: Any) -> bool:
    """Tell whether a TOML value fits an annotation; an annotation it cannot judge passes."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return any(_fits(value, argument) for argument in arguments)
    if origin is typing.Literal:
        return value in arguments
    if hint is float:
        number = isinstance(value, (int, float)) and not isinstance(value, bool)
        return number and math.isfinite(value)
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
