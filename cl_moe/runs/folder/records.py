"""The records of one run, read from its folder and checked against the study's description."""

from __future__ import annotations

import shlex
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from cl_moe.errors import InputError
from cl_moe.runs.folder.checking import Expected, run_problems
from cl_moe.runs.folder.columns import ROW_COLUMNS, TIMING_COLUMNS
from cl_moe.runs.folder.description import differences
from cl_moe.runs.folder.digests import DIGESTS, changed
from cl_moe.runs.folder.files import read_json, read_json_lines, read_table
from cl_moe.runs.folder.schema import event_problems

__all__ = ("RunRecords", "expected", "read_events", "read_run", "refuse_changed_run", "run_spec")

FORMAT = 2
"""Of a run's folder: 2 has digests; 1, of earlier versions, is not told in spec.json."""
MOST_DIFFERENCES = 5


class RunRecords(NamedTuple):
    """The records of a run; ``sure`` if its files have the digests that were written with them."""

    rows: list[dict[str, Any]]
    timings: list[dict[str, Any]]
    events: list[dict[str, Any]]
    sure: bool


def run_spec(
    method: Mapping[str, Any], seed: int, spec: Mapping[str, Any], after: str | None = None
) -> dict[str, Any]:
    """Return what determines the result of a run, for spec.json.

    Args:
        method: name, type and parameters, those chosen from a grid included.
        seed: of the run.
        spec: of the study.
        after: the task that is learned first, in a run of pairs.
    """
    first = {} if after is None else {"after": after}
    whole = {"method": dict(method), "seed": seed, **first, "spec": dict(spec)}
    return {"format": FORMAT, **whole}


def read_run(
    run: Path, description: Mapping[str, Any], method: str, seed: int, after: str | None = None
) -> RunRecords:
    """Read and check a run.

    Args:
        run: its folder.
        description: of the study.
        method: by the folder's name.
        seed: by the folder's name.
        after: by the folder's name, in a run of pairs.

    Raises:
        InputError: a file is damaged, was changed, is missing or added, or the run is of another
            study. Every problem, and what to do.
    """
    sure = refuse_changed_run(run, unread=("model",))
    rows = read_table(run / "rows.csv", ROW_COLUMNS)
    timings = read_table(run / "timings.csv", TIMING_COLUMNS)
    events = read_events(run / "events.jsonl")
    problems = [
        *_misplaced(run / "rows.csv", rows, method, seed, first_line=2),
        *_misplaced(run / "timings.csv", timings, method, seed, first_line=2),
        *_misplaced(run / "events.jsonl", events, method, seed, first_line=1),
        *_other_study(run, description, method, seed, after),
    ]
    if not problems:
        found = run_problems(rows, timings, expected(description, after))
        problems = [f"{run}: {problem}; {_again(run)}" for problem in found]
    if problems:
        raise InputError(problems)
    return RunRecords(rows, timings, events, sure)


def refuse_changed_run(run: Path, *, unread: Collection[str] = ()) -> bool:
    """Check that a run's files are those that were written; False if that is not known.

    Args:
        run: its folder.
        unread: subfolders of which only the names are checked.

    Raises:
        InputError: a file was changed, is missing, or was added.
    """
    try:
        found = changed(run, unread=unread)
    except InputError:
        found = [f"{DIGESTS} was changed"]
    if found is None and read_json(run / "spec.json").get("format", 1) != 1:
        found = [f"{DIGESTS} is missing"]
    if found:
        raise InputError(f"{run}: {', '.join(found)} since the run was written; {_again(run)}")
    return found is not None


def read_events(path: Path) -> list[dict[str, Any]]:
    """Read a file of events.

    Raises:
        InputError: it is damaged, or an event is not as written: with the line.
    """
    events = read_json_lines(path)
    problems = [
        f"{path}, line {number + 1}, {problem}" for number, problem in event_problems(events)
    ]
    if problems:
        more = [f"{path}: and {len(problems) - 10} more"] if len(problems) > 10 else []
        raise InputError(problems[:10] + more)
    return events


def expected(description: Mapping[str, Any], after: str | None = None) -> Expected:
    """Return the tasks of a run of the stream, or of a run of pairs that begins with ``after``."""
    tasks = description["tasks"]
    stream = [task["task"] for task in tasks if not task["probe"]]
    if after is not None:
        return Expected([after], [name for name in stream if name != after])
    training = description["spec"].get("training", {})
    every = training.get("evaluate_every", 1)
    if training.get("evaluate", "all") != "all":
        every = max(1, len(stream))  # before the last task there is a sample
    return Expected(stream, [task["task"] for task in tasks if task["probe"]], every)


def _misplaced(
    path: Path, records: Sequence[Mapping[str, Any]], method: str, seed: int, first_line: int
) -> list[str]:
    for number, record in enumerate(records, start=first_line):
        if (record["method"], record["seed"]) != (method, seed):
            return [
                f"{path}, line {number}: of method '{record['method']}' and seed "
                f"{record['seed']}; by its folder it should be of '{method}' and seed {seed}"
            ]
    return []


def _other_study(
    run: Path, description: Mapping[str, Any], method: str, seed: int, after: str | None
) -> list[str]:
    """Return how the settings of a run differ from those of the study."""
    about = next(m for m in description["methods"] if m["name"] == method)
    parameters = {**about.get("parameters", {}), **(about.get("chosen") or {})}
    mine = {"name": method, "type": about["type"], "parameters": parameters}
    there = run_spec(mine, seed, description["spec"], after)
    here = {"format": FORMAT, **read_json(run / "spec.json")}
    if after is None and here.get("after") is not None:
        there["after"] = None
    where = ("in the run", "in study.json")
    found = list(differences(here.pop("spec", {}), there.pop("spec"), "", where))
    found += differences(here, there, "", where)
    if not found:
        return []
    more = len(found) - MOST_DIFFERENCES
    words = [*found[:MOST_DIFFERENCES], *([f"and {more} more"] if more > 0 else [])]
    return [f"{run / 'spec.json'}: of another study: {'; '.join(words)}; {_again(run)}"]


def _again(run: Path) -> str:
    return f"remove the run (rm -r {shlex.quote(str(run))}), and run the study again"
