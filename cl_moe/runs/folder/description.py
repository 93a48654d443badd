"""The description of a study in study.json, and differences between descriptions."""

from __future__ import annotations

import contextlib
import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cl_moe.errors import InputError
from cl_moe.references import strings
from cl_moe.runs.folder.files import read_json
from cl_moe.runs.plan import StudyPlan
from cl_moe.storage import digest

if TYPE_CHECKING:
    from pydantic import BaseModel

    from cl_moe.streams.scenario import ScenarioSpec
    from cl_moe.streams.stream import TaskStream
    from cl_moe.streams.task import Task

__all__ = ("FORMAT", "describe", "differences", "identity", "read_description", "sources", "tuned")

FORMAT = 1
_OF_A_SCENARIO = ("sources", "tasks", "generate", "probes", "stream")


def describe(plan: StudyPlan, tasks: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Return the JSON-able description of a plan for study.json.

    Args:
        plan: the study.
        tasks: the table of its stream.

    ``spec`` holds all that determines the result of a method's run; methods and seeds may be added
    to a study later, ``spec`` may not change.
    """
    from cl_moe.runs.environment import version

    spec = {
        **_source_spec(plan.source),
        "network": _settings(plan.network, "heads", never=("resident",)),  # which changes no row
        "training": _settings(plan.training, "evaluate_every", "evaluate", "schedule"),
        "device": plan.device,
        "threads": plan.threads,
        "curves": plan.curves,
    }
    about = {key: getattr(plan.source, key, "") for key in ("title", "description")}
    methods = [
        {
            "name": method.name,
            "type": method.type,
            "parameters": dict(method.parameters),
            "grid": {name: list(values) for name, values in method.grid.items()},
            "chosen": None,
        }
        for method in plan.methods
    ]
    return {
        "cl_moe": version(),
        "name": plan.name,
        **about,
        "baseline": plan.baseline,
        "seeds": list(plan.seeds),
        "methods": methods,
        "spec": spec,
        "tasks": [dict(row) for row in tasks],
    }


def identity(description: Mapping[str, Any], plan: StudyPlan) -> str:
    """Return what identifies the data and settings of a study, for checkpoints of its runs.

    Besides the description these are the size and the time of change of each file that a source
    names: a run is not continued with other data.
    """
    from cl_moe.streams.sources.base import find_path

    found = []
    for text in strings(description["spec"].get("sources", {})):
        with contextlib.suppress(OSError, ValueError):  # no path
            path = find_path(text, plan.data_dir)
            if path.is_file():
                found.append([text, path.stat().st_size, path.stat().st_mtime_ns])
    about = [description["spec"], description["tasks"], found]
    return digest(json.dumps(about).encode())


def _settings(spec: BaseModel, *later: str, never: Sequence[str] = ()) -> dict[str, Any]:
    """Return a table's keys and values.

    Keys that were added ``later`` are left out at their defaults, so that older studies can be
    continued.
    """
    fields = type(spec).model_fields
    as_before = {key for key in later if getattr(spec, key) == fields[key].default}
    return spec.model_dump(mode="json", exclude=as_before.union(never))


def _source_spec(source: ScenarioSpec | TaskStream) -> dict[str, Any]:
    from cl_moe.streams.stream import TaskStream

    if isinstance(source, TaskStream):
        return {"stream": {"name": source.name, "content": _fingerprint(source)}}
    values = source.to_dict()
    if source.generate is not None and not source.generate.recurring:
        del values["generate"]["recurring"]  # as in studies from before there was such a key
    return {key: values[key] for key in _OF_A_SCENARIO if key in values}


def sources(description: Mapping[str, Any]) -> dict[str, str]:
    """Return the data of a scenario's sources, with slots resolved.

    >>> digits = {"type": "digits", "parameters": {}}
    >>> noise = {"type": "synthetic", "parameters": {"dim": 64, "image": True}}
    >>> sources({"spec": {"sources": {"mnist": digits, "fashion": noise}}})
    {'mnist': 'digits', 'fashion': 'synthetic (dim 64, image true)'}
    """
    found = {}
    for name, source in description["spec"].get("sources", {}).items():
        if source.get("type"):  # a slot that no task uses stays open
            pairs = (source.get("parameters") or {}).items()
            words = ", ".join(
                f"{key} {value if isinstance(value, str) else json.dumps(value)}"
                for key, value in pairs
            )
            found[name] = f"{source['type']} ({words})" if words else str(source["type"])
    return found


def tuned(description: Mapping[str, Any]) -> dict[str, dict[str, tuple[Any, list[Any]]]]:
    """Return method -> parameter -> (the value that was chosen, its grid).

    >>> ewc = {"name": "ewc", "grid": {"strength": [1, 10]}, "chosen": {"strength": 10}}
    >>> tuned({"methods": [ewc, {"name": "dense"}]})
    {'ewc': {'strength': (10, [1, 10])}}
    """
    return {
        method["name"]: {
            name: (method["chosen"][name], list(values))
            for name, values in (method.get("grid") or {}).items()
            if name in method["chosen"]
        }
        for method in description["methods"]
        if method.get("chosen")
    }


def _fingerprint(stream: TaskStream) -> str:
    """Return a digest of all data of a stream."""
    digest = hashlib.blake2b(digest_size=16)
    for task in [*stream, *stream.probes]:
        _add(digest, task)
    return digest.hexdigest()


def _add(digest: hashlib.blake2b, task: Task) -> None:
    digest.update(repr((task.name, task.classes)).encode())
    for tensors in (task.tensors("train"), task.tensors("test")):
        for tensor in tensors:
            digest.update(repr((tensor.dtype, tuple(tensor.shape))).encode())
            digest.update(tensor.contiguous().numpy().tobytes())


def differences(
    there: Any, here: Any, place: str, where: tuple[str, str] = ("there", "here")
) -> Iterable[str]:
    """Yield a sentence for every value that differs between two descriptions.

    >>> list(differences({"epochs": 5, "a": [1]}, {"epochs": 3, "a": [1]}, "training"))
    ['training.epochs is 5 there and 3 here']
    """
    if isinstance(there, Mapping) and isinstance(here, Mapping):
        for key in dict.fromkeys([*there, *here]):
            at = f"{place}.{key}".lstrip(".")
            yield from differences(there.get(key), here.get(key), at, where)
    elif isinstance(there, list) and isinstance(here, list) and len(there) == len(here):
        for position, (old, new) in enumerate(zip(there, here, strict=True)):
            yield from differences(old, new, f"{place}[{position}]", where)
    elif there != here:
        yield f"{place} is {_short(there)} {where[0]} and {_short(here)} {where[1]}"


def _short(value: Any) -> str:
    text = "not given" if value is None else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def read_description(path: Path) -> dict[str, Any]:
    """Return the content of study.json, after a check of all fields that are used.

    Raises:
        InputError: the file is damaged, or of a later version; every problem.
    """
    found = read_json(path)
    if found.get("format", FORMAT) != FORMAT:
        raise InputError(
            f"{path}: format {found['format']!r}; this version of cl_moe reads format {FORMAT}"
        )
    from cl_moe.runs.folder.schema import description_problems

    if problems := description_problems(found):
        raise InputError([f"{path}, {problem}" for problem in problems])
    return found
