"""Kills of a study at random moments and at random file operations, and the comparison after it.

A study runs in a child process that is forked from this one, which has imported everything. It is
killed by SIGKILL, and started again in the same folder until it is complete. Run it as a script, in
a process of its own:

    python tests/faults/kills.py --kills 200 --methods moe,ewc
"""

from __future__ import annotations

import argparse
import json
import os
import random
import signal
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import cl_moe
import cl_moe.training.stepping
from cl_moe import catalog
from cl_moe.testing.learning import toy_stream

__all__ = ("Kills", "kill_repeatedly")

OPERATIONS = ("open", "os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.truncate")
"""Audit events of file operations; a process may be killed before any of them."""


@dataclass
class Kills:
    """Counts of a series of kills.

    Attributes:
        kills: processes that were killed before they ended.
        studies: studies that were completed in spite of it.
        continued: starts that continued at least one run from a checkpoint.
        differences: what differed from the study that was not killed.
    """

    kills: int = 0
    studies: int = 0
    continued: int = 0
    differences: list[str] = field(default_factory=list)


def kill_repeatedly(
    place: Path, methods: Sequence[Any], kills: int, *, jobs: int = 1, seed: int = 0
) -> Kills:
    """Kill a study until ``kills`` processes have died, and compare each completed one.

    Args:
        place: an empty folder.
        methods: methods of the study.
        kills: number of kills, at least.
        jobs: number of worker processes.
        seed: seed of the moments.
    """
    draw, counts = random.Random(seed), Kills()
    whole = place / "whole"
    start = time.monotonic()
    assert _ended(_start(whole, methods, jobs, None), None) == 0, "the study fails"
    seconds = time.monotonic() - start
    while counts.kills < kills:
        folder = place / f"study{counts.studies}"
        while not _attempt(folder, methods, jobs, draw, seconds, counts):
            pass
        counts.studies += 1
        counts.differences += compared(whole, folder)
    return counts


def compared(one: Path, other: Path) -> list[str]:
    """Return the files that differ: rows, decisions (but for their times), final parameters."""
    found = []
    names = [
        path.relative_to(one)
        for path in sorted(one.rglob("*"))
        if path.name in ("rows.csv", "events.jsonl", "model.safetensors", "model.json")
    ]
    assert names, f"{one} holds no run"
    for name in names:
        if not (other / name).is_file():
            found.append(f"{name} is missing")
        elif _content(one / name) != _content(other / name):
            found.append(f"{name} differs")
    left = [*other.glob("checkpoints"), *other.glob(".writing-*"), *other.glob(".study*")]
    return found + [f"{path.name} is left" for path in left]


def _content(path: Path) -> Any:
    if path.name != "events.jsonl":
        return path.read_bytes()
    return [{**json.loads(line), "seconds": 0} for line in path.read_text().splitlines()]


def _attempt(
    folder: Path,
    methods: Sequence[Any],
    jobs: int,
    draw: random.Random,
    seconds: float,
    counts: Kills,
) -> bool:
    """Start the study and kill it; tell whether it was complete before."""
    counts.continued += any(folder.glob("checkpoints/*/checkpoint-*.json"))
    at = draw.randrange(1, 400) if draw.random() < 0.5 else None
    process = _start(folder, methods, jobs, at)
    code = _ended(process, draw.uniform(0, seconds) if at is None else None)
    if code is None:
        os.kill(process, signal.SIGKILL)
        code = _ended(process, None)
    if code == 0:
        return True
    assert code == -signal.SIGKILL, f"the study ended with code {code}"
    counts.kills += 1
    return False


def _start(folder: Path, methods: Sequence[Any], jobs: int, at: int | None) -> int:
    """Start the study in a child process, which dies before the file operation ``at``."""
    process = os.fork()
    if process:
        return process
    code = 1
    try:
        _study(folder, methods, jobs, at)
        code = 0
    finally:
        sys.stderr.flush()
        os._exit(code)


def _ended(process: int, seconds: float | None) -> int | None:
    """Return the exit code of a child; None if it still runs after so many seconds."""
    end = None if seconds is None else time.monotonic() + seconds
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if end is not None and time.monotonic() >= end:
            return None
        time.sleep(0.002)


def _study(folder: Path, methods: Sequence[Any], jobs: int, at: int | None) -> None:
    left = [at or 0]

    def count(event: str, _: object) -> None:
        if event in OPERATIONS:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    if at is not None:
        sys.addaudithook(count)
    cl_moe.run(
        toy_stream(), list(methods), seeds=1, jobs=jobs, out=folder, keep_models=True,
        network={"hidden": [8, 5]}, training={"epochs": 4, "batch_size": 8, "min_steps": 0},
        checkpoint_steps=5, progress=False,
    )  # fmt: skip


def main() -> None:
    """Print the counts as JSON."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--methods", default=",".join(catalog.names("method")))
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args()
    limited = {"type": "moe", "name": "limited", "max_experts": 1}
    with tempfile.TemporaryDirectory() as place:
        methods = [*given.methods.split(","), limited]
        found = kill_repeatedly(Path(place), methods, given.kills, jobs=given.jobs, seed=given.seed)
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
