"""The output of ``cl-moe list``: scenarios, parts and the keys of a scenario's tables."""

from __future__ import annotations

import inspect
import json
from typing import TYPE_CHECKING, Any

from cl_moe import catalog
from cl_moe.errors import InputError, did_you_mean

if TYPE_CHECKING:
    from pathlib import Path

    from pydantic import BaseModel
    from pydantic.fields import FieldInfo

__all__ = ("describe", "lines")


def lines(kind: str) -> dict[str, str]:
    """Return the names of a kind (in the plural), with one line on each.

    >>> lines("keys")["training.epochs"]
    '5'
    """
    if kind == "scenarios":
        from cl_moe.streams.scenario import read_toml, shipped_scenarios

        # Not validated here, since that would import every method.
        found = shipped_scenarios().items()
        return {name: str(read_toml(path).get("title", "")) for name, path in found}
    if kind == "keys":
        return {
            f"{table}.{key}": _default(field)
            for table, spec in _tables().items()
            for key, field in spec.model_fields.items()
        }
    part = _singular(kind)
    if part in catalog.TABLES:
        return {name: _described(catalog.resolve(part, name)) for name in catalog.names(part)}
    return {name: catalog.summary(part, name) for name in catalog.names(part)}


def describe(kind: str, name: str) -> str:
    """Return a scenario's file, a part's description and parameters, or a table's keys.

    Raises:
        InputError: the name is unknown.

    >>> print(describe("operators", "invert").splitlines()[0])  # doctest: +ELLIPSIS
    Mirrors inputs in their range: ...
    """
    if kind == "scenarios":
        from cl_moe.streams.scenario import shipped_scenarios

        path: Path = _one_of(shipped_scenarios(), name, "scenario")
        return path.read_text(encoding="utf-8").rstrip()
    if kind == "keys":
        table = name.partition(".")[0]
        spec = _one_of(_tables(), table, "table")
        defaults = [f"  {key} = {_default(field)}" for key, field in spec.model_fields.items()]
        return "\n".join([inspect.getdoc(spec) or "", "", f"[{table}], with defaults:", *defaults])
    part = catalog.resolve(_singular(kind), name, "NAME")
    if _singular(kind) in catalog.TABLES:
        return _described(part)
    parameters = [f"  {_written(*item)}" for item in catalog.parameters(part).items()]
    heading = "parameters:" if parameters else "no parameters"
    return "\n".join([inspect.getdoc(part) or "", "", heading, *parameters])


def _tables() -> dict[str, type[BaseModel]]:
    from cl_moe.streams.spec import NetworkSpec, StreamSpec, TrainingSpec

    return {"training": TrainingSpec, "network": NetworkSpec, "stream": StreamSpec}


def _described(part: Any) -> str:
    """Return the description of a metric or figure; a third-party one may be any object."""
    if hasattr(part, "needs"):
        return f"{part.label}; needs {part.needs}"
    return str(getattr(part, "caption", part))


def _singular(kind: str) -> str:
    return "growth" if kind == "growth" else kind.removesuffix("s")


def _one_of(known: dict[str, Any], name: str, kind: str) -> Any:
    if name not in known:
        raise InputError(f"NAME: no {kind} is called '{name}'; {did_you_mean(name, known)}")
    return known[name]


def _written(name: str, parameter: inspect.Parameter) -> str:
    """Return a parameter with its type, as written in the source, and its default."""
    kind = parameter.annotation
    kind = kind if isinstance(kind, str) else getattr(kind, "__name__", str(kind))
    required = parameter.default is parameter.empty
    return f"{name}: {kind}" + ("   (required)" if required else f" = {parameter.default!r}")


def _default(field: FieldInfo) -> str:
    return "unset" if field.default is None else json.dumps(field.default)
