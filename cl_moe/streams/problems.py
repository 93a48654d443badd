"""Problems of a table as sentences: place, value, valid values."""

from __future__ import annotations

import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from cl_moe.errors import did_you_mean, shortened

__all__ = ("name_problems", "read_table", "read_tables")

Model = TypeVar("Model", bound=BaseModel)

_NAMES = {int: "a whole number", float: "a finite number", str: "a text", bool: "true or false"}


def name_problems(name: object) -> list[str]:
    """Return why ``name`` cannot stand in tables and figures: it is no text on one line.

    >>> name_problems("low digits"), name_problems(" ")
    ([], ["' ' is not a valid name; give a text on one line"])
    """
    if isinstance(name, str) and name.strip() and name.isprintable():
        return []
    return [f"{name!r} is not a valid name; give a text on one line"]


def read_table(model: type[Model], value: Any, place: str) -> tuple[Model | None, list[str]]:
    """Return the table as a model, and every problem it has.

    With problems, the model is made without the faulty keys (or is None), so that further problems
    can be found.

    >>> from cl_moe.streams.spec import TrainingSpec
    >>> read_table(TrainingSpec, {"epohcs": 3, "batch_size": 0}, "training")[1]
    ["training.epohcs: unknown key; did you mean 'epochs'?", \
'training.batch_size: 0 is too small; give 1 or more']
    """
    try:
        return model.model_validate(value), []
    except ValidationError as error:
        found: dict[str, str] = {}
        for problem in error.errors(include_url=False):
            at, sentence = _sentence(model, value, place, problem)
            if at not in found or sentence not in found[at]:
                found[at] = sentence
        faulty = {problem["loc"][0] for problem in error.errors() if problem["loc"]}
        order = sorted(found, key=lambda at: "unknown key" not in found[at])
        return _salvage(model, value, faulty), [f"{at}: {found[at]}" for at in order]


def _salvage(model: type[Model], value: Any, faulty: set[int | str]) -> Model | None:
    if not isinstance(value, Mapping) or not faulty:
        return None
    try:
        return model.model_validate({k: v for k, v in value.items() if k not in faulty})
    except ValidationError:
        return None


def read_tables(
    model: type[Model], values: Any, place: str
) -> tuple[list[Model | None], list[str]]:
    """Return a list of tables, None standing for each beyond repair, and all problems."""
    if not isinstance(values, list):
        return [], [f"{place}: {values!r} is not a list of tables; write [[{place}]]"]
    models, problems = [], []
    for position, value in enumerate(values):
        read, found = read_table(model, value, f"{place}[{position}]")
        models.append(read)
        problems += found
    return models, problems


def _sentence(model: type[BaseModel], value: Any, place: str, problem: Any) -> tuple[str, str]:
    """Return the place and the sentence of one pydantic error."""
    kind, given, context = problem["type"], problem["input"], problem.get("ctx", {})
    path, fields, hint, inner = _follow(model, value, problem["loc"])
    at = place + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in path)
    at = at.lstrip(".")
    if kind == "extra_forbidden":
        key = str(problem["loc"][-1])
        return f"{at}.{key}".lstrip("."), f"unknown key; {did_you_mean(key, fields)}"
    if kind == "missing":
        return at, f"missing; give {_wanted(hint)}"
    if kind == "value_error":
        return at, str(context["error"])
    if kind == "literal_error":
        words = [word for word in typing.get_args(hint) if isinstance(word, str)]
        return at, f"{shortened(given)} is unknown; {did_you_mean(shortened(given), words)}"
    given, inner = shortened(given), shortened(inner)
    if kind.startswith(("greater", "less")):
        limit = context.get("ge", context.get("gt", context.get("le", context.get("lt"))))
        limit = int(limit) if float(limit).is_integer() else limit
        fault, more = ("small", "more") if kind.startswith("greater") else ("large", "less")
        right = f"{limit} or {more}" if kind.endswith("_equal") else f"{more} than {limit}"
        return at, f"{given} is too {fault}; give {right}"
    if kind in ("too_short", "string_too_short"):
        return at, "empty; give at least one"
    return at, f"{inner} is not {_wanted(hint)}"


def _follow(
    model: type[BaseModel], value: Any, loc: Sequence[int | str]
) -> tuple[list[int | str], list[str], Any, Any]:
    """Follow an error's location through the schema, without pydantic's tags of unions.

    Returns the path a user knows, the keys allowed at its end, the annotation there, the value.
    """
    path: list[int | str] = []
    hint: Any = model
    for step in loc:
        fields = _fields(hint)
        if isinstance(step, str) and step in fields:
            hint = fields[step]
        elif isinstance(step, int) and isinstance(value, list):
            hint = _element(hint)
        else:
            continue
        path.append(step)
        value = _inside(value, step)
    return path, sorted(_fields(hint)), hint, value


def _inside(value: Any, step: int | str) -> Any:
    if isinstance(value, Mapping):
        return value.get(step)
    return value[step] if isinstance(value, list) and isinstance(step, int) else value


def _fields(hint: Any) -> dict[str, Any]:
    for choice in (hint, *typing.get_args(hint)):
        if isinstance(choice, type) and issubclass(choice, BaseModel):
            return {f.alias or name: f.annotation for name, f in choice.model_fields.items()}
    return {}


def _element(hint: Any) -> Any:
    for choice in (hint, *typing.get_args(hint)):
        if typing.get_origin(choice) is list:
            return typing.get_args(choice)[0]
    return hint


def _wanted(hint: Any) -> str:
    """Return an annotation in words.

    >>> _wanted(int | list[str] | None)
    'a whole number, or a list (each a text)'
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        return ", or ".join(_wanted(choice) for choice in inner if choice is not type(None))
    if origin is list:
        return f"a list (each {_wanted(inner[0])})"
    if origin is typing.Literal:
        return "one of " + ", ".join(repr(word) for word in inner)
    return _NAMES.get(hint, "a table")
