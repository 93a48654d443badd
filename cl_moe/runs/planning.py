"""Construction of a checked plan from a user's arguments."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from cl_moe import catalog
from cl_moe.errors import InputError, did_you_mean, shortened
from cl_moe.parameters import LARGEST
from cl_moe.runs.plan import MethodPlan, StudyPlan

if TYPE_CHECKING:
    import torch
    from avalanche.benchmarks import CLScenario
    from pydantic import BaseModel

    from cl_moe.streams.scenario import MethodSpec, ScenarioSpec
    from cl_moe.streams.stream import TaskStream

__all__ = ("PLANNED", "MethodLike", "Source", "make_plan")

PLANNED = ("source", "methods", "seeds", "training", "network", "device", "threads")
"""Arguments of a study that a plan checks."""

MethodLike: TypeAlias = "str | Mapping[str, Any] | MethodSpec"
Source: TypeAlias = "ScenarioSpec | TaskStream | CLScenario[Any] | str | Path"

DEFAULT_SEEDS = 5
MOST_THREADS = 1024
_STREAM_METHODS = ("dense", "moe")

Model = TypeVar("Model", bound="BaseModel")


def make_plan(
    source: Source,
    methods: Sequence[MethodLike] | None = None,
    seeds: int | Sequence[int] | None = None,
    *,
    training: Mapping[str, Any] | BaseModel | None = None,
    network: Mapping[str, Any] | BaseModel | None = None,
    baseline: str | None = None,
    device: str = "cpu",
    data_dir: str | Path | None = None,
    threads: int = 1,
    curves: bool = True,
    elsewhere: bool = False,
    allow_code: bool = False,
) -> StudyPlan:
    """Return the checked plan of a study; see :func:`cl_moe.run` for the arguments.

    ``elsewhere``: it is run by other machines, whose devices may differ from this one's.

    Raises:
        InputError: with every problem of every argument.
    """
    from cl_moe.streams.scenario import NetworkSpec, ScenarioSpec, TrainingSpec

    source = _source(source, allow_code)
    scenario = source if isinstance(source, ScenarioSpec) else None
    folder = Path(data_dir) if data_dir is not None else None
    problems = _option_problems(device, threads, folder, elsewhere)
    if seeds is None:
        seeds = scenario.seeds if scenario else DEFAULT_SEEDS
    chosen_seeds, found = _seeds(seeds)
    problems += found
    chosen, found = _methods(methods, scenario)
    problems += found
    budget, found = _table(TrainingSpec, scenario and scenario.training, training, "training")
    problems += found
    net, found = _table(NetworkSpec, scenario and scenario.network, network, "network")
    problems += found
    names = [method.name for method in chosen]
    if baseline is None:
        baseline = scenario.baseline if scenario and scenario.baseline in names else None
    elif (baseline := _named(str(baseline), names)) not in names:
        problems.append(f"baseline: no method '{baseline}'; {did_you_mean(baseline, names)}")
    if problems:
        raise InputError(problems)
    assert budget is not None
    assert net is not None
    resolved = scenario.resolve(folder) if scenario else None
    return StudyPlan(
        name=source.name,
        source=source if resolved is None else resolved,
        network=net,
        training=budget,
        methods=tuple(chosen),
        seeds=chosen_seeds,
        baseline=baseline,
        device=str(device),
        data_dir=folder,
        threads=threads,
        curves=curves,
        notes=tuple(_found(scenario, resolved)) if scenario and resolved else (),
    )


def _source(source: object, allow_code: bool) -> ScenarioSpec | TaskStream:
    from cl_moe.streams.scenario import ScenarioSpec, read_scenario
    from cl_moe.streams.stream import TaskStream

    if isinstance(source, (str, Path)):
        return read_scenario(source, allow_code=allow_code)[0]
    if isinstance(source, (ScenarioSpec, TaskStream)):
        return source
    if isinstance(getattr(source, "streams", None), Mapping):  # Avalanche's
        return TaskStream.from_benchmark(source)
    raise InputError(
        f"source: {shortened(source)} is not a scenario; give its name or file, a TaskStream or an "
        "Avalanche benchmark"
    )


def _found(asked: ScenarioSpec, resolved: ScenarioSpec) -> Iterable[str]:
    """Yield the data found for each slot of a scenario, in words."""
    for name, source in asked.sources.items():
        taken = resolved.sources[name]
        if source.any_of and taken.type is not None:  # a slot that no task uses stays open
            words = [str(taken.type), *map(str, taken.parameters.values())]
            yield f"{name}: {' '.join(words)}"


def _option_problems(
    device: str, threads: int, data_dir: Path | None, elsewhere: bool
) -> list[str]:
    import torch

    problems = []
    try:
        found = torch.device(device)
        problems += _device_elsewhere(found) if elsewhere else _device_problems(found)
    except (RuntimeError, TypeError, ValueError):
        problems.append(f"device: '{device}' is not a torch device; give cpu, cuda or cuda:1")
    if type(threads) is not int or not 1 <= threads <= MOST_THREADS:
        problems.append(f"threads: {threads!r} is not a whole number from 1 to {MOST_THREADS}")
    if data_dir is not None and not data_dir.is_dir():
        problems.append(f"data_dir: '{data_dir}' is not a folder; give one that holds the data")
    return problems


def _device_elsewhere(device: torch.device) -> list[str]:
    """Return why a run on a cluster, to which only its own GPUs are shown, cannot use a device."""
    if device.type in ("cpu", "cuda") and not device.index:
        return []
    return [f"device: '{device}', but a run on a cluster has GPUs of its own; give cpu or cuda"]


def _device_problems(device: torch.device) -> list[str]:
    """Return why a device cannot be used here, without initialising CUDA."""
    import torch

    if device.type == "cuda":
        there = torch.cuda.device_count()
        known = f"{there} CUDA GPU" if there else "no CUDA GPU"
        fits = (device.index or 0) < there
        return [] if fits else [f"device: '{device}', but torch sees {known} here; give cpu"]
    try:
        torch.zeros(1, device=device).item()
    except Exception as error:  # noqa: BLE001 - each kind of device has errors of its own
        why = str(error).split("\n")[0]
        return [f"device: '{device}' cannot be used here ({why}); give cpu, or cuda with a GPU"]
    return []


def _seeds(seeds: Any) -> tuple[tuple[int, ...], list[str]]:
    """Return the seeds of a number of seeds, or of a list of them."""
    from cl_moe.streams.scenario import MOST_SEEDS

    if isinstance(seeds, int) and not isinstance(seeds, bool):
        if not 1 <= seeds <= MOST_SEEDS:
            fault = "few; give 1 or more" if seeds < 1 else f"many; give {MOST_SEEDS} or fewer"
            return (), [f"seeds: {shortened(seeds)} is too {fault}"]
        return tuple(range(seeds)), []
    if not isinstance(seeds, Iterable):
        return (), [f"seeds: {seeds!r} is not a number of seeds; give 1 or more, or a list of them"]
    listed = tuple(seeds)
    problems = [
        f"seeds: {shortened(seed)} is not a seed; give whole numbers from 0 to {LARGEST}"
        for seed in listed
        if type(seed) is not int or not 0 <= seed <= LARGEST
    ]
    if not listed:
        problems.append("seeds: none; give a number of seeds, or a list of them")
    elif len(set(listed)) < len(listed):
        problems.append(f"seeds: {list(listed)} has one twice; give each once")
    return listed, problems


def _methods(given: Any, scenario: ScenarioSpec | None) -> tuple[list[MethodPlan], list[str]]:
    """Return the methods: the scenario's by their labels, others by type with their parameters."""
    from cl_moe.streams.checks import method_problems
    from cl_moe.streams.problems import read_table
    from cl_moe.streams.scenario import MethodSpec

    own = {method.name: method for method in scenario.methods} if scenario else {}
    if given is None:
        given = list(own.values()) if scenario else _STREAM_METHODS
    if isinstance(given, (str, Mapping)):
        given = [given]
    if not isinstance(given, Iterable):
        return [], [
            f"methods: {given!r} is not a list; give names, or tables such as {{'type': ...}}"
        ]
    chosen, problems = [], []
    for position, item in enumerate(given):
        place = f"methods[{position}]"
        item = _named(item, own) if isinstance(item, str) else item
        if isinstance(item, str) and item not in own and not _is_type(item):
            known = [*own, *catalog.names("method")]
            problems.append(f"{place}: no method '{item}'; {did_you_mean(item, known)}")
            continue
        if isinstance(item, str) and ":" in item and item not in own:
            item = {"type": item}
        if isinstance(item, Mapping) and "name" not in item and "type" in item:
            item = {"name": str(item["type"]).rpartition(":")[2], **item}
        in_scenario = isinstance(item, str) and item in own
        spec, found = (own[item], []) if in_scenario else read_table(MethodSpec, item, place)
        problems += found
        if spec is not None:
            problems += method_problems(spec, place) + _unwritable(spec, place)
            chosen.append(MethodPlan(spec.name, spec.type, spec.parameters, spec.grid))
    names = [method.name for method in chosen]
    problems += [
        f"methods: two are called '{name}'; give each its own name"
        for name in dict.fromkeys(names)
        if names.count(name) > 1
    ]
    if not chosen and not problems:
        problems.append(f"methods: none; known: {', '.join(own or catalog.names('method'))}")
    return chosen, problems


def _named(name: str, known: Collection[str]) -> str:
    """Return a method's name; an alias is resolved unless a method has this name."""
    found = catalog.canonical("method", name)
    return found if name not in known and found in {*known, *catalog.names("method")} else name


def _is_type(name: str) -> bool:
    return ":" in name or name.replace("-", "_") in catalog.names("method")


def _unwritable(spec: MethodSpec, place: str) -> list[str]:
    """Name the parameters that cannot be written down with the results."""
    return [
        f"{place}.{name}: {type(value).__name__} cannot be kept with the results; give "
        "numbers, texts, lists, or 'package.module:Object' for an object of your own"
        for name, value in [*spec.parameters.items(), *spec.grid.items()]
        if not _is_json(value)
    ]


def _is_json(value: Any) -> bool:
    try:
        json.dumps(value)
    except (TypeError, ValueError):
        return False
    return True


def _table(
    model: type[Model],
    base: BaseModel | None,
    given: Mapping[str, Any] | BaseModel | None,
    place: str,
) -> tuple[Model | None, list[str]]:
    """Return ``base`` (or the defaults) updated with the given values."""
    from cl_moe.streams.problems import read_table

    if isinstance(given, model):
        return given, []
    if given is not None and not isinstance(given, Mapping):
        return None, [f"{place}: {given!r} is not a table; give a dict such as {{'...': ...}}"]
    values = base.model_dump() if base is not None else {}
    return read_table(model, {**values, **dict(given or {})}, place)
