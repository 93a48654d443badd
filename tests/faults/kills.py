"""Kills of a study at random moments and at random file operations, and the comparison after it.

A study runs in a child process that is forked from one that has imported everything, is killed by
SIGKILL, and is started again in the same folder until it is complete.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

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
    processes = multiprocessing.get_context("forkserver")
    processes.set_forkserver_preload([__name__, "cl_moe.runs.study", "cl_moe.runs.single",
                                      "cl_moe.training.stepping"])  # fmt: skip
    whole = place / "whole"
    _start(processes, whole, methods, jobs, None).join()
    start = time.monotonic()
    _start(processes, place / "timed", methods, jobs, None).join()
    seconds = time.monotonic() - start
    while counts.kills < kills:
        folder = place / f"study{counts.studies}"
        while not _attempt(processes, folder, methods, jobs, draw, seconds, counts):
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
    processes: Any,
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
    process = _start(processes, folder, methods, jobs, at)
    process.join(None if at is not None else draw.uniform(0, seconds))
    if process.exitcode is None:
        os.killpg(process.pid, signal.SIGKILL)
        process.join()
    if process.exitcode == 0:
        return True
    assert process.exitcode == -signal.SIGKILL, f"the study ended with code {process.exitcode}"
    counts.kills += 1
    return False


def _start(
    processes: Any, folder: Path, methods: Sequence[Any], jobs: int, at: int | None
) -> Any:
    process = processes.Process(target=_study, args=(folder, list(methods), jobs, at))
    process.start()
    return process


def _study(folder: Path, methods: list[Any], jobs: int, at: int | None) -> None:
    """Run the study; die before the file operation ``at``, counted from the start."""
    import cl_moe
    from cl_moe.testing.learning import toy_stream

    os.setpgrp()
    left = [at or 0]

    def count(event: str, _: object) -> None:
        if event in OPERATIONS:
            left[0] -= 1
            if left[0] == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    if at is not None:
        sys.addaudithook(count)
    cl_moe.run(
        toy_stream(), methods, seeds=1, jobs=jobs, out=folder, keep_models=True,
        network={"hidden": [8, 5]}, training={"epochs": 4, "batch_size": 8, "min_steps": 0},
        checkpoint_steps=5, progress=False,
    )  # fmt: skip
