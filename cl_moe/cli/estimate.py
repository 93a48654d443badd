"""``cl-moe estimate``: the duration, memory and experts of a study."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from cl_moe.cli.options import (
    AllowCode,
    DataDir,
    Device,
    Methods,
    Scenario,
    Seeds,
    Settings,
    Threads,
    parse_seeds,
    parse_words,
)
from cl_moe.cli.printing import say
from cl_moe.errors import InputError

if TYPE_CHECKING:
    from cl_moe.runs.estimates.cost_model import Spread
    from cl_moe.runs.estimates.estimate import Estimate

__all__ = ("estimate", "lines")


def estimate(
    scenario: Scenario,
    methods: Methods = None,
    seeds: Seeds = None,
    jobs: Annotated[int, typer.Option(min=1, help="Number of parallel runs.")] = 1,
    device: Device = "cpu",
    data_dir: DataDir = None,
    settings: Settings = None,
    threads: Threads = 1,
    allow_code: AllowCode = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print all numbers, in seconds.")] = False,
) -> None:
    """Estimate the duration, memory and number of experts of a study before it is run.

    Some steps of its network are timed on this machine; the cost of methods relative to a dense
    network is taken from measured studies, whose range is given.
    """
    from cl_moe.runs.estimates.estimate import estimate as estimated
    from cl_moe.runs.planning import make_plan
    from cl_moe.streams.scenario import read_scenario

    spec, named = read_scenario(scenario, settings or (), allow_code=allow_code, imports=allow_code)
    if named and not allow_code:
        raise InputError(
            f"{scenario}: an estimate needs {', '.join(named)}, which is imported only with "
            "--allow-code"
        )
    plan = make_plan(
        spec,
        None if methods is None else parse_words(methods, "--methods"),
        None if seeds is None else parse_seeds(seeds),
        device=device,
        data_dir=data_dir,
        threads=threads,
    )
    found = estimated(plan, jobs)
    if as_json:
        say(json.dumps(found.to_dict(), indent=2))
    else:
        say("\n".join(lines(plan.name, found)))


def lines(name: str, found: Estimate) -> list[str]:
    """Return an estimate as lines of text."""
    from cl_moe.runs.formatting import counted, duration

    head = ("method", "runs", "a run takes", "from", "to", "experts", "memory")
    table = [head] + [
        (
            method.method if method.measured else f"{method.method} *",
            f"{method.runs}",
            *(
                duration(end)
                for end in (method.seconds.mid, method.seconds.low, method.seconds.high)
            ),
            _range(method.experts),
            _memory(method.memory),
        )
        for method in found.methods
    ]
    widths = [max(len(row[k]) for row in table) for k in range(len(head))]
    text = [
        "  ".join(
            cell.ljust(w) if k == 0 else cell.rjust(w)
            for k, (cell, w) in enumerate(zip(row, widths, strict=True))
        )
        for row in table
    ]
    low, mid, high = (
        duration(s) for s in (found.seconds.low, found.seconds.mid, found.seconds.high)
    )
    at_once = "one run at a time" if found.jobs == 1 else f"{found.jobs} runs at once"
    work = found.work
    probes = f" and {counted(work.probes, 'probe')}" if work.probes else ""
    text = [
        f"{name}: {counted(work.tasks, 'task')}{probes}, {work.steps:,} steps of a dense network",
        *text,
        f"in all, {at_once}: {mid} ({low} to {high}), {_memory(found.memory)} of memory",
    ]
    if not all(method.measured for method in found.methods):
        text.append("* no measurements of this type of method: estimated as a dense network")
    return text


def _range(experts: Spread | None) -> str:
    if experts is None:
        return ""
    if experts.low == experts.high:
        return f"{experts.low:,.0f}"
    return f"{experts.low:,.0f} to {experts.high:,.0f}"


def _memory(size: float) -> str:
    for unit, bytes_ in (("PiB", 2**50), ("TiB", 2**40), ("GiB", 2**30)):
        if size >= bytes_:
            return f"{size / bytes_:.1f} {unit}"
    return f"{size / 2**20:.0f} MiB"
