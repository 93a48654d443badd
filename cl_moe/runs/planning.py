"""From what a user asks for to a checked plan."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, TypeVar

from cl_moe import catalog
from cl_moe.errors import InputError, did_you_mean
from cl_moe.runs.plan import MethodPlan, StudyPlan

if TYPE_CHECKING:
    from pydantic import BaseModel

    from cl_moe.streams.scenario import MethodSpec, ScenarioSpec
    from cl_moe.streams.task import TaskStream

__all__ = ("MethodLike", "Source", "make_plan")

MethodLike: TypeAlias = "str | Mapping[str, Any] | MethodSpec"
Source: TypeAlias = "ScenarioSpec | TaskStream | str | Path"

DEFAULT_SEEDS = 5
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
) -> StudyPlan:
    """Return the checked plan of a study; see :func:`cl_moe.run` for the arguments.

    Raises:
        InputError: with every problem of every argument.
    """
    from cl_moe.streams.scenario import NetworkSpec, ScenarioSpec, TrainingSpec, load_scenario

    if isinstance(source, (str, Path)):
        source = load_scenario(source)
    scenario = source if isinstance(source, ScenarioSpec) else None
    folder = Path(data_dir) if data_dir is not None else None
    problems = _option_problems(device, threads, folder)
    own_seeds = scenario.seeds if scenario else DEFAULT_SEEDS
    chosen_seeds, found = _seeds(own_seeds if seeds is None else seeds)
    problems += found
    chosen, found = _methods(methods, scenario)
    problems += found
    budget, found = _table(TrainingSpec, scenario and scenario.training, training, "training")
    problems += found
    net, found = _table(NetworkSpec, scenario and scenario.network, network, "network")
    problems += found
    if baseline is None and scenario and scenario.baseline in {m.name for m in chosen}:
        baseline = scenario.baseline
    elif baseline is not None and baseline not in {m.name for m in chosen}:
        hint = did_you_mean(baseline, [m.name for m in chosen])
        problems.append(f"baseline: no method '{baseline}'; {hint}")
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
        device=device,
        data_dir=folder,
        threads=threads,
        curves=curves,
        notes=tuple(_found(scenario, resolved)) if scenario and resolved else (),
    )


def _found(asked: ScenarioSpec, resolved: ScenarioSpec) -> Iterable[str]:
    """Say which data were found for each slot of a scenario."""
    for name, source in asked.sources.items():
        taken = resolved.sources[name]
        if source.any_of and taken.type is not None:  # a slot that no task uses stays open
            words = [str(taken.type), *map(str, taken.parameters.values())]
            yield f"{name}: {' '.join(words)}"


def _option_problems(device: str, threads: int, data_dir: Path | None) -> list[str]:
    import torch

    problems = []
    try:
        kind = torch.device(device).type
        if kind == "cuda" and not torch.cuda.is_available():
            problems.append(f"device: '{device}', but torch sees no CUDA GPU here; give cpu")
    except RuntimeError:
        problems.append(f"device: '{device}' is not a torch device; give cpu, cuda or cuda:1")
    if threads < 1:
        problems.append(f"threads: {threads} is too few; give 1 or more")
    if data_dir is not None and not data_dir.is_dir():
        problems.append(f"data_dir: '{data_dir}' is not a folder; give one that holds the data")
    return problems


def _seeds(seeds: int | Sequence[int]) -> tuple[tuple[int, ...], list[str]]:
    """Return the seeds of a number of seeds, or of a list of them."""
    if isinstance(seeds, int):
        if seeds < 1:
            return (), [f"seeds: {seeds} is too few; give 1 or more"]
        return tuple(range(seeds)), []
    listed = tuple(seeds)
    problems = [
        f"seeds: {seed!r} is not a seed; give whole numbers from 0"
        for seed in listed
        if type(seed) is not int or seed < 0
    ]
    if not listed:
        problems.append("seeds: none; give a number of seeds, or a list of them")
    elif len(set(listed)) < len(listed):
        problems.append(f"seeds: {list(listed)} has one twice; give each once")
    return listed, problems


def _methods(
    given: Sequence[MethodLike] | None, scenario: ScenarioSpec | None
) -> tuple[list[MethodPlan], list[str]]:
    """Return the methods: the scenario's by their labels, others by type with their parameters."""
    from cl_moe.streams.checks import method_problems
    from cl_moe.streams.problems import read_table
    from cl_moe.streams.scenario import MethodSpec

    own = {method.name: method for method in scenario.methods} if scenario else {}
    if given is None:
        given = list(own.values()) if scenario else _STREAM_METHODS
    if isinstance(given, (str, Mapping)):
        given = [given]
    chosen, problems = [], []
    for position, item in enumerate(given):
        place = f"methods[{position}]"
        if isinstance(item, str) and item not in own and not _is_type(item):
            known = [*own, *catalog.names("method")]
            problems.append(f"{place}: no method '{item}'; {did_you_mean(item, known)}")
            continue
        if isinstance(item, str) and ":" in item and item not in own:
            item = {"type": item}
        if isinstance(item, Mapping) and "name" not in item and "type" in item:
            item = {"name": str(item["type"]).rpartition(":")[2], **item}
        spec, found = (
            (own[item], [])
            if isinstance(item, str) and item in own
            else read_table(MethodSpec, item, place)
        )
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
    if not given:
        problems.append(f"methods: none; known: {', '.join(own or catalog.names('method'))}")
    return chosen, problems


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
    """Return ``base`` (or the defaults) with what is given put over it."""
    from cl_moe.streams.problems import read_table

    if isinstance(given, model):
        return given, []
    values = base.model_dump() if base is not None else {}
    return read_table(model, {**values, **dict(given or {})}, place)
