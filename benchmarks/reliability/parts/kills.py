"""Kills of a study at random moments and at random file operations, and the comparison after it.

A study runs in a child process that is forked from this one, which has imported everything. It is
killed by SIGKILL, and started again in the same folder until it is complete. To repeat one series:

    python -W ignore -m benchmarks.reliability.parts.kills --kills 200 --methods moe,ewc
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
from functools import partial
from pathlib import Path
from typing import Any

from benchmarks.reliability.comparing import compared
from benchmarks.reliability.forking import apart, ended, forked
from benchmarks.reliability.tally import Result, Tally

__all__ = ("CASES", "Kills", "kill_repeatedly", "run")

CASES = 200
OF_TWO_WORKERS = 10  # one kill in this number is in addition one of the driver of two workers
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
        failures: starts that failed, which end the series.
    """

    kills: int = 0
    studies: int = 0
    continued: int = 0
    differences: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)


def run(cases: int, methods: Sequence[str] = ()) -> Result:
    """Kill studies of the methods, by default of all, in one process and with two workers."""
    tally, notes = Tally("kills"), []
    of_two = max(1, cases // OF_TWO_WORKERS)
    for what, count, jobs in (("one process", cases, 1), ("two workers", of_two, 2)):
        words = ["--kills", str(count), "--jobs", str(jobs)]
        words += ["--methods", ",".join(methods)] if methods else []
        found = Kills(**apart(__name__, *words))
        tally.cases += found.kills
        for difference in found.differences:
            tally.failed(what, difference)
        for failure in found.failures:
            tally.failed(what, failure, traceback=True)
        notes.append(
            f"{what}: {found.kills} kills, {found.studies} studies, {found.continued} starts that "
            "continued from a checkpoint"
        )
    kind = "SIGKILL at random moments and file operations; wrong: results differ from those of the "
    return tally.result(f"{kind}study that was not killed; {'; '.join(notes)}")


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
    assert ended(forked(partial(_study, whole, methods, jobs, None))) == 0, "the study fails"
    seconds = time.monotonic() - start
    while counts.kills < kills and not counts.failures:
        folder = place / f"study{counts.studies}"
        while not _attempt(folder, methods, jobs, draw, seconds, counts):
            pass
        counts.studies += 1
        counts.differences += compared(whole, folder)
    return counts


def _attempt(
    folder: Path,
    methods: Sequence[Any],
    jobs: int,
    draw: random.Random,
    seconds: float,
    counts: Kills,
) -> bool:
    """Start the study and kill it; tell whether it ended before."""
    counts.continued += any(folder.glob("checkpoints/*/checkpoint-*.json"))
    at = draw.randrange(1, 400) if draw.random() < 0.5 else None
    process = forked(partial(_study, folder, methods, jobs, at))
    code = ended(process, draw.uniform(0, seconds) if at is None else None)
    if code is None:
        os.kill(process, signal.SIGKILL)
        code = ended(process)
    if code == -signal.SIGKILL:
        counts.kills += 1
        return False
    if code:
        counts.failures.append(f"a start ended with code {code}")
    return True


def _study(folder: Path, methods: Sequence[Any], jobs: int, at: int | None) -> int:
    """Run the study; the process dies before the file operation ``at``."""
    import cl_moe
    from cl_moe.testing.learning import toy_stream

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
    return 0


def main() -> None:
    """Print the counts as JSON."""
    import cl_moe.training.stepping  # noqa: F401 - once, not in every child
    from cl_moe import catalog

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=CASES)
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
