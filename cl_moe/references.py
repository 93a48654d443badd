"""References to code (``package.module:Object``, ``file.py:Object``): who may name what.

A reference that the user gives, on the command line or in Python, is imported. A reference that a
file contains is imported if it names an installed part; any other code depends on the file's
:class:`Origin`. Python's standard library holds no parts, whoever names it: a scenario that calls
``os:system`` is an attack or a mistake.
"""

from __future__ import annotations

import contextlib
import functools
import importlib
import importlib.util
import inspect
import logging
import sys
import types
from collections.abc import Iterator
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from cl_moe.errors import InputError

__all__ = ("NotImportedError", "Origin", "load", "reading", "scenario_folder", "strings")

_LOG = logging.getLogger(__name__)
_ORIGIN: ContextVar[Origin | None] = ContextVar("origin", default=None)
_IMPORTED: set[tuple[str, str]] = set()
"""What the user has named or allowed in this process, as (file or module, attribute)."""

_INSTALLED = {"site-packages", "dist-packages"}


class NotImportedError(Exception):
    """Code that a file names is allowed, but is not to be imported yet (``cl-moe check``)."""


@dataclass(frozen=True)
class Origin:
    """The file whose references are resolved, and what may be imported for it.

    Args:
        file: the file.
        allow_code: whether the user allows all code that it names.
        beside: whether code in its folder, or in the current folder, is allowed.
        imports: whether allowed code is imported; if not, :class:`NotImportedError` is raised.
        own: references that the user gave, such as with ``--set``.
        named: is filled with the references to code that is not installed.
    """

    file: Path
    allow_code: bool = False
    beside: bool = True
    imports: bool = True
    own: frozenset[str] = frozenset()
    named: list[str] = field(default_factory=list)


@contextlib.contextmanager
def reading(origin: Origin) -> Iterator[Origin]:
    """Resolve references as those of a file, within a ``with`` block."""
    before = _ORIGIN.set(origin)
    try:
        yield origin
    finally:
        _ORIGIN.reset(before)


def load(reference: str, at: str = "", *, installed: bool = False) -> Any:
    """Return the object that a reference names, if it may be imported.

    Args:
        reference: ``package.module:Object``, or ``file.py:Object`` with a file of the current
            folder or beside the shipped scenarios.
        at: start of the error, the place of the reference.
        installed: whether it is known to name an installed part.

    Raises:
        InputError: it may not be imported, or cannot be.
        NotImportedError: it is not to be imported yet.

    >>> load("os:system", "methods[0].type: ")
    Traceback (most recent call last):
    ...
    cl_moe.errors.InputError: methods[0].type: 'os:system' is in Python's standard library, which \
holds no parts; name your own
    """
    module, _, attribute = reference.partition(":")
    if not _is_file(module) and _is_standard(module):
        raise InputError(f"{at}{_standard(reference)}")
    origin = _ORIGIN.get()
    if origin is not None and not installed:
        _admit(origin, reference, at)
    try:
        found = _found(module, attribute)
    except (Exception, SystemExit) as error:  # a user's module may raise any error
        raise InputError(
            f"{at}'{reference}' cannot be loaded ({type(error).__name__}: {error}); "
            "give package.module:Object with the package on Python's path, or file.py:Object"
        ) from error
    if found is _STANDARD:
        raise InputError(f"{at}{_standard(reference)}")
    _IMPORTED.add(_key(module, attribute))
    return found


def _admit(origin: Origin, reference: str, at: str) -> None:
    """Raise an error unless the reference of a file may be imported now."""
    module, _, attribute = reference.partition(":")
    places = _places(module)
    known = reference in origin.own or _key(module, attribute) in _IMPORTED
    if known or places is None or _is_shipped(module):  # what does not exist cannot be imported
        return
    allowed = origin.allow_code or (origin.beside and _are_beside(places, origin.file.parent))
    if not allowed:
        where = " or in the folder of this file" if origin.beside else ""
        raise InputError(
            f"{at}'{reference}' is code that is not an installed part{where}; if you trust "
            f"{origin.file}, allow it with --allow-code (in Python allow_code=True)"
        )
    first = reference not in origin.named
    if first:
        origin.named.append(reference)
    if not origin.imports:
        raise NotImportedError(reference)
    if first and origin.allow_code:
        _LOG.warning("%s: imports %s", origin.file, reference)


def _is_file(module: str) -> bool:
    return module.endswith(".py")


def _is_standard(module: str) -> bool:
    return module.partition(".")[0] in {*sys.stdlib_module_names, "builtins"}


def _standard(reference: str) -> str:
    return f"'{reference}' is in Python's standard library, which holds no parts; name your own"


def _key(module: str, attribute: str) -> tuple[str, str]:
    path = _file(module) if _is_file(module) else None
    return (str(path.resolve()) if path else module, attribute)


def _is_shipped(module: str) -> bool:
    path, folder = _file(module) if _is_file(module) else None, scenario_folder()
    return path is not None and folder is not None and _inside(path, folder)


def _are_beside(places: list[Path], folder: Path) -> bool:
    """Tell whether all places are in a folder or the current one, and in no installed package."""
    folders = (folder, Path.cwd())
    return bool(places) and all(
        any(_inside(place, folder) for folder in folders) and not _INSTALLED & {*place.parts}
        for place in places
    )


def _places(module: str) -> list[Path] | None:
    """Return the file of a module, or the folders of a package, without importing it.

    None: there is no such module. Nothing: it has no place, or is of this package, whose functions
    are no parts.
    """
    if _is_file(module):
        path = _file(module)
        return None if path is None else [path.resolve()]
    top = module.partition(".")[0]
    if top in ("cl_moe", "__main__"):
        return []
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):  # no name of a module
        return None
    if spec is None:
        return None
    found = spec.submodule_search_locations or [spec.origin or ""]
    return [Path(place).resolve() for place in found if place]


def _inside(path: Path, folder: Path) -> bool:
    return path.resolve().is_relative_to(folder.resolve())


_STANDARD = object()


def _found(module: str, attribute: str) -> Any:
    """Return an attribute of a module, or a mark if it belongs to the standard library."""
    found: Any = _run_file(module) if _is_file(module) else importlib.import_module(module)
    for word in attribute.split("."):
        found = getattr(found, word)
        if isinstance(found, types.ModuleType) and _is_standard(found.__name__):
            return _STANDARD
    code = inspect.isclass(found) or inspect.isroutine(found)
    return _STANDARD if code and _is_standard(str(getattr(found, "__module__", ""))) else found


def scenario_folder() -> Path | None:
    """Return the folder of the shipped scenarios: in the package, or beside it in a checkout."""
    package = Path(__file__).parent
    folders = (package / "scenarios", package.parent / "scenarios")
    return next((folder for folder in folders if folder.is_dir()), None)


def _file(name: str) -> Path | None:
    """Return a file of the current folder, or else of the shipped scenarios'.

    Its name stays relative in a study's files, so that the study can be run elsewhere.
    """
    shipped = scenario_folder()
    places = (Path(name), *([shipped / name] if shipped else []))
    return next((path for path in places if path.is_file()), None)


def _run_file(name: str) -> types.ModuleType:
    path = _file(name)
    if path is None:
        raise ImportError(f"no file {name} in the current folder or beside the shipped scenarios")
    return _module_of(path.resolve())


@functools.lru_cache
def _module_of(path: Path) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location(f"{path}", path)
    assert spec is not None
    assert spec.loader is not None
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def strings(value: Any) -> Iterator[str]:
    """Yield every text in nested lists and tables, keys left out.

    >>> list(strings({"a": ["b", {"c": "d"}], "e": 1}))
    ['b', 'd']
    """
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict):
        for item in value.values():
            yield from strings(item)
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
