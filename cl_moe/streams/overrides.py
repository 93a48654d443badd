"""``--set key=value``: changes of a scenario's settings from the command line."""

from __future__ import annotations

import copy
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from cl_moe.errors import InputError, did_you_mean

if sys.version_info >= (3, 11):
    import tomllib
else:  # pragma: no cover
    import tomli as tomllib

__all__ = ("apply_overrides",)


def apply_overrides(data: Mapping[str, Any], overrides: Iterable[str]) -> dict[str, Any]:
    """Return a copy of ``data`` with each ``dotted.key=value`` set.

    Items of a list are named by position or by their ``name``. A value is read as TOML
    (``3``, ``0.5``, ``true``, ``[1, 2]``, ``"x"``), and where that fails as text. The schema checks
    whether the last key exists.

    Raises:
        InputError: with every override of a place that the scenario does not have.

    >>> data = {"training": {"epochs": 5}, "methods": [{"name": "ewc"}]}
    >>> apply_overrides(data, ["training.epochs=1", "methods.ewc.strength=10"])
    {'training': {'epochs': 1}, 'methods': [{'name': 'ewc', 'strength': 10}]}
    """
    changed: dict[str, Any] = copy.deepcopy(dict(data))
    problems = []
    for override in overrides:
        key, equals, text = override.partition("=")
        if not equals or not key.strip():
            problems.append(f"--set {override}: give key=value, such as training.epochs=3")
            continue
        try:
            _set(changed, key.strip(), _value(text.strip()))
        except InputError as error:
            problems += [f"--set {override}: {problem}" for problem in error.problems]
    if problems:
        raise InputError(problems)
    return changed


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except (ValueError, RecursionError):  # also of numbers of more than 4300 digits
        return text


def _set(data: dict[str, Any], key: str, value: Any) -> None:
    *way, last = key.split(".")
    place: Any = data
    for step in way:
        place = _step(place, step)
    if isinstance(place, list):
        place[_position(place, last)] = value
    elif isinstance(place, dict):
        # Stored parameters win over keys beside them, so an override goes where its key stands.
        inner = place.get("parameters")
        target = inner if isinstance(inner, dict) and last in inner else place
        target[last] = value
    else:
        raise InputError(f"'{way[-1]}' is a value, not a table; nothing can be set inside it")


def _step(place: Any, step: str) -> Any:
    if isinstance(place, list):
        return place[_position(place, step)]
    if not isinstance(place, dict):
        raise InputError(f"'{step}' is inside a value, not a table")
    if step not in place and isinstance(place.get("parameters"), dict):
        place = place["parameters"] if step in place["parameters"] else place
    if step not in place:
        place[step] = {}
    return place[step]


def _position(items: list[Any], step: str) -> int:
    names = [item.get("name", "") if isinstance(item, dict) else str(item) for item in items]
    if step in names:
        return names.index(step)
    if step.isdecimal() and int(step) < len(items):
        return int(step)
    raise InputError(
        f"no item '{step}' in the list; {did_you_mean(step, [name for name in names if name])} "
        f"(or a position from 0 to {len(items) - 1})"
    )
