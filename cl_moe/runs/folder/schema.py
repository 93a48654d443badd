"""The form of study.json and of events: the keys that are read, and their types.

Other keys are kept, and not checked: a growth policy may log what it likes.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError

__all__ = ("description_problems", "event_problems")

_MOST = 2**53
"""Whole numbers up to this one are exact in every reader of JSON."""

_Count = Annotated[int, Field(ge=0, le=_MOST)]
_Id = str | int
_WANTED = {
    "int_type": "a whole number", "string_type": "a text", "bool_type": "true or false",
    "dict_type": "an object", "model_type": "an object", "list_type": "a list",
    "float_type": "a number", "missing": "a value", "string_too_short": "a text of some length",
    "string_unicode": "a text that UTF-8 can hold",
    "greater_than_equal": "0 or more", "less_than_equal": "a smaller number",
}  # fmt: skip


def _pair(value: object) -> object:
    """Check a layer and an expert."""
    if not isinstance(value, list) or len(value) != 2 or type(value[0]) is not int:
        raise ValueError("[layer, expert]")
    return value


_Expert = Annotated[list[_Id], BeforeValidator(_pair)]


class _Form(BaseModel):
    model_config = ConfigDict(strict=True, extra="allow", frozen=True)


class _Method(_Form):
    name: Annotated[str, Field(min_length=1)]
    type: str
    parameters: dict[str, Any] = {}
    grid: dict[str, list[Any]] | None = None
    chosen: dict[str, Any] | None = None


class _Task(_Form):
    position: _Count
    task: Annotated[str, Field(min_length=1)]
    probe: bool
    group: str | None = None
    derived_from: str | None = None
    relation: str | None = None
    n_train: _Count
    n_test: _Count
    n_classes: _Count
    objective: str | None = None


class _Source(_Form):
    type: str | None = None
    parameters: dict[str, Any] | None = None


class _Training(_Form):
    evaluate_every: Annotated[int, Field(ge=1, le=_MOST)] = 1
    evaluate: Annotated[str, Field(pattern=r"^(all|sample:[1-9][0-9]{0,8})$")] = "all"


class _Spec(_Form):
    sources: dict[str, _Source] = {}
    training: _Training = _Training()


class _Description(_Form):
    name: str
    baseline: str | None
    spec: _Spec
    methods: list[_Method]
    tasks: list[_Task]
    seeds: list[_Count] = []
    title: str | None = None
    description: str | None = None


class _Event(_Form):
    method: str
    seed: _Count
    task: _Count
    name: str
    kind: str
    sentence: str
    path: list[list[_Id]] = []
    new_experts: list[_Expert] = []
    retrained: list[_Expert] = []
    frozen: list[Any] = []
    candidates: list[Any] = []
    usage: list[dict[str, float]] = []


_EVENTS = TypeAdapter(list[_Event])


def description_problems(content: dict[str, Any]) -> list[str]:
    """Return what is wrong with a description, as "place: what it is; what is wanted".

    >>> description_problems({"name": "toy", "baseline": 3, "spec": {}, "methods": [], "tasks": 1})
    ["'baseline': 3; a text is wanted", "'tasks': 1; a list is wanted"]
    """
    try:
        found = _Description.model_validate(content)
    except ValidationError as error:
        return [f"'{_place(at)}': {text}" for at, text in _sentences(error)]
    problems = [
        f"'{place}': '{name}' is given {names.count(name)} times; names must differ"
        for place, names in (
            ("methods", [method.name for method in found.methods]),
            ("tasks", [task.task for task in found.tasks]),
        )
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if [task.position for task in found.tasks] != list(range(len(found.tasks))):
        problems.append("'tasks': the positions are not 0, 1, 2 and so on")
    if [task.probe for task in found.tasks] != sorted(task.probe for task in found.tasks):
        problems.append("'tasks': a task of the stream is behind a probe; probes are the last")
    return problems


def event_problems(events: Sequence[dict[str, Any]]) -> Iterator[tuple[int, str]]:
    """Yield the problems of events: the position of the event, and the sentence.

    >>> event = {"method": "moe", "seed": 0, "task": 0, "name": "a", "kind": "fresh"}
    >>> list(event_problems([event | {"sentence": "grew"}, event]))
    [(1, "'sentence': missing; a value is wanted")]
    """
    try:
        _EVENTS.validate_python(events)
    except ValidationError as error:
        for (number, *at), text in _sentences(error):
            yield int(number), f"'{_place(at)}': {text}" if at else text


def _sentences(error: ValidationError) -> Iterator[tuple[Sequence[int | str], str]]:
    for problem in error.errors(include_url=False):
        kind, given = problem["type"], problem["input"]
        shown = "missing" if kind == "missing" else f"{given!r:.60}"
        wanted = str(problem["ctx"]["error"]) if kind == "value_error" else _WANTED.get(kind)
        at = [part for part in problem["loc"] if part not in ("str", "int")]  # of a union
        yield at, f"{shown}; {wanted or problem['msg'].lower()} is wanted"


def _place(at: Sequence[int | str]) -> str:
    """Return a place as it is written in Python.

    >>> _place(["methods", 0, "name"])
    'methods[0].name'
    """
    return "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in at).lstrip(".")
