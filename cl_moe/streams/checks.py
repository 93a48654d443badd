"""Checks of a scenario: of each table, then of references between tables."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, TypeVar

from cl_moe import catalog
from cl_moe.errors import InputError, did_you_mean
from cl_moe.references import NotImportedError
from cl_moe.streams.generate import GenerateSpec, drawn_tasks, expand_probes
from cl_moe.streams.problems import name_problems, read_table, read_tables
from cl_moe.streams.spec import (
    MethodSpec,
    NetworkSpec,
    OperatorSpec,
    ProbeSpec,
    SourceSpec,
    StreamSpec,
    TaskSpec,
    TrainingSpec,
)
from cl_moe.streams.tables import ScenarioTables

__all__ = ("check", "method_problems")

Scenario = TypeVar("Scenario", bound=ScenarioTables)

LISTS: dict[str, Any] = {"tasks": TaskSpec, "probes": ProbeSpec, "methods": MethodSpec}
TABLES: dict[str, Any] = {
    "stream": StreamSpec,
    "network": NetworkSpec,
    "training": TrainingSpec,
    "generate": GenerateSpec,
}


def check(model: type[Scenario], data: Mapping[str, Any]) -> tuple[Scenario | None, list[str]]:
    """Return the scenario, or None and all problems of ``data``.

    Tables are read separately, so that a fault in one does not hide another. Parts that are not to
    be imported are not checked (:class:`cl_moe.references.NotImportedError`).
    """
    read: dict[str, Any] = {}
    problems: list[str] = []
    for key, kind in LISTS.items():
        if key in data:
            read[key], found = read_tables(kind, data[key], key)
            problems += found
    for key, kind in TABLES.items():
        if key in data:
            read[key], found = read_table(kind, data[key], key)
            problems += found
    if "sources" in data:
        read["sources"], found = _read_sources(data["sources"])
        problems += found
    rest = {k: v for k, v in data.items() if k not in {*LISTS, *TABLES, "sources"}}
    head, found = read_table(model, rest, "")
    problems = found + problems + _cross_checks(data, read)
    if problems or head is None:
        return None, list(dict.fromkeys(problems))
    return head.model_copy(update=read), []


def _read_sources(values: Any) -> tuple[dict[str, SourceSpec | None], list[str]]:
    if not isinstance(values, Mapping):
        return {}, [f"sources: {values!r} is not a table; write [sources.NAME]"]
    read, problems = {}, []
    for name, value in values.items():
        read[name], found = read_table(SourceSpec, value, f"sources.{name}")
        problems += [f"sources: {problem}" for problem in name_problems(name)] + found
    return read, problems


def _cross_checks(data: Mapping[str, Any], read: Mapping[str, Any]) -> list[str]:
    sources: dict[str, SourceSpec | None] = read.get("sources", {})
    tasks: Sequence[TaskSpec | None] = read.get("tasks", [])
    probes: Sequence[ProbeSpec | None] = read.get("probes", [])
    generate: GenerateSpec | None = read.get("generate")
    problems = []
    if not data.get("tasks") and "generate" not in data:
        problems.append("tasks: none; give at least one [[tasks]] table, or [generate]")
    for name, source in sources.items():
        problems += _source_problems(source, f"sources.{name}")
    if generate is not None:
        for position, name in enumerate(generate.sources):
            problems += _known(name, sources, f"generate.sources[{position}]", "source")
    problems += _task_problems(data, tasks, probes, generate, sources)
    problems += _method_problems(data, read)
    network: NetworkSpec | None = read.get("network")
    if network is not None:
        problems += _attempt(lambda: catalog.resolve("expert", network.kind, "network.kind"))
    return problems


def _source_problems(source: SourceSpec | None, place: str) -> list[str]:
    from cl_moe.streams.sources._loading import make_source

    if source is None:
        return []
    if source.any_of:
        return [
            problem
            for position, choice in enumerate(source.any_of)
            for problem in _source_problems(choice, f"{place}.any_of[{position}]")
        ]
    return _attempt(lambda: make_source(source, place))


def _task_problems(
    data: Mapping[str, Any],
    tasks: Sequence[TaskSpec | None],
    probes: Sequence[ProbeSpec | None],
    generate: GenerateSpec | None,
    sources: Mapping[str, SourceSpec | None],
) -> list[str]:
    named = [_name(value) for value in _list(data.get("tasks"))]
    later = named + [task.name for task in (drawn_tasks(generate) if generate else [])]
    problems, earlier, variants = [], list[str](), dict[str, list[str]]()
    places = [(f"tasks[{k}]", task) for k, task in enumerate(tasks)]
    places += [(f"probes[{k}]", probe) for k, probe in enumerate(probes)]
    for position, (place, task) in enumerate(places):
        known = earlier if position < len(tasks) else [*later, *earlier[len(tasks) :]]
        if task is not None:
            problems += _origin_problems(task, place, known, later, sources)
            problems += _variant_problems(task, place, variants, sources)
            for number, operator in enumerate(task.operators):
                problems += _operator_problems(operator, f"{place}.operators[{number}]")
        raw = _list(data.get("tasks")) + _list(data.get("probes"))
        earlier.append(_name(raw[position]))
    problems += [
        f"{place}.name: '{task.name}' contains an @, which is reserved for the sizes of "
        "probes; rename it"
        for place, task in places
        if task is not None and "@" in task.name
    ]
    unseen = [task.name for task in expand_probes(probe for probe in probes if probe is not None)]
    return problems + _twice([*later, *unseen], "task")


def _origin_problems(
    task: TaskSpec,
    place: str,
    known: Sequence[str],
    later: Sequence[str],
    sources: Mapping[str, SourceSpec | None],
) -> list[str]:
    if task.source is not None:
        return _known(task.source, sources, f"{place}.source", "source")
    assert task.from_ is not None
    if task.from_ not in known and task.from_ in later:
        return [f"{place}.from: '{task.from_}' is not earlier in the file; move it up"]
    return _known(task.from_, known, f"{place}.from", "earlier task")


def _variant_problems(
    task: TaskSpec,
    place: str,
    variants: dict[str, list[str]],
    sources: Mapping[str, SourceSpec | None],
) -> list[str]:
    """Check the relatedness, and record the variant that this task introduces."""
    from cl_moe.streams.sources._loading import make_source

    source = sources.get(task.source or "")
    if task.source is None or source is None:
        return []
    problems = []
    if task.variant is not None or task.related_to is not None:
        for choice in source.any_of or [source]:
            try:
                varies = make_source(choice, "").varies
            except (InputError, NotImportedError):  # told with the source's table
                continue
            if not varies:
                key = "variant" if task.variant is not None else "related_to"
                problems.append(
                    f"{place}.{key}: source '{task.source}' ({choice.type}) has no variants; "
                    "use a synthetic source, or remove it"
                )
    known = variants.setdefault(task.source, [])
    if task.related_to is not None:
        problems += _known(task.related_to, known, f"{place}.related_to", "earlier variant")
    variant = task.variant or task.name
    if task.related_to is not None and variant in known:
        problems.append(
            f"{place}.related_to: variant '{variant}' is set by an earlier task; "
            "give the relation there, or use another variant"
        )
    known.append(variant)
    return problems


def _operator_problems(operator: OperatorSpec, place: str) -> list[str]:
    from cl_moe.streams.operators.base import make_operator

    return _attempt(lambda: make_operator(operator, place))


def _method_problems(data: Mapping[str, Any], read: Mapping[str, Any]) -> list[str]:
    methods: Sequence[MethodSpec | None] = read.get("methods", [])
    names = [_name(value) for value in _list(data.get("methods"))]
    problems = _twice(names, "method")
    for position, method in enumerate(methods):
        if method is not None:
            problems += method_problems(method, f"methods[{position}]")
    baseline = data.get("baseline")
    if isinstance(baseline, str) and "methods" in data:
        problems += _known(baseline, names, "baseline", "method")
    return problems


def method_problems(method: MethodSpec, place: str) -> list[str]:
    """Return every problem of a method's type, parameters and grid."""
    # Every choice of a grid is checked as if it were the parameter.
    merged = [dict(method.parameters, **{key: c}) for key, cs in method.grid.items() for c in cs]
    choices = merged or [method.parameters]
    target, problems = None, []
    try:
        target = catalog.resolve("method", method.type, f"{place}.type")
    except InputError as error:
        return error.problems
    except NotImportedError:
        pass
    else:
        problems = [p for c in choices for p in catalog.check_parameters(target, c, place)]
    if ":" in method.type:  # the runner supplies missing arguments of an Avalanche class
        problems = [problem for problem in problems if ": missing" not in problem]
    for kind in ("gate", "growth", "expert"):
        problems += _part_problems(target, kind, choices, place)
    return list(dict.fromkeys(problems))


def _part_problems(
    target: Any, kind: str, choices: Sequence[Mapping[str, Any]], place: str
) -> list[str]:
    """Check parameters that name a part of the mixture, and the options given to that part.

    ``target`` is the method; None if it is not imported.
    """
    problems = []
    default = None if target is None else catalog.parameters(target).get(kind)
    for parameters in choices:
        name = parameters.get(kind, getattr(default, "default", None))
        if not isinstance(name, str):
            continue
        try:
            part = catalog.resolve(kind, name, f"{place}.{kind}")
        except InputError as error:
            problems += error.problems
            continue
        except NotImportedError:
            continue
        options = parameters.get(f"{kind}_options")
        if isinstance(options, Mapping):
            found = catalog.check_parameters(part, options, f"{place}.{kind}_options")
            problems += [problem for problem in found if ": missing" not in problem]
    return problems


def _attempt(action: Callable[[], Any]) -> list[str]:
    try:
        action()
    except InputError as error:
        return error.problems
    except NotImportedError:
        pass
    return []


def _known(name: str, known: Iterable[str], place: str, word: str) -> list[str]:
    known = dict.fromkeys(known)
    return [] if name in known else [f"{place}: no {word} '{name}'; {did_you_mean(name, known)}"]


def _twice(names: Sequence[str], word: str) -> list[str]:
    return [
        f"{word}s: two are called '{name}'; give each {word} its own name"
        for name, times in Counter(names).items()
        if name and times > 1
    ]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _name(value: Any) -> str:
    if isinstance(value, str):
        return value
    return str(value.get("name", "")) if isinstance(value, Mapping) else ""
