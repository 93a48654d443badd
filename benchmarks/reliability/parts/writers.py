"""Processes that start one study in one folder at the same time: one runs, the others refuse.

In every second round, the study goes on only when all others have ended, so that exactly one may
run. In the rounds between, it ends when it will, and the others start at random moments before.
"""

from __future__ import annotations

import argparse
import json
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import patch

from benchmarks.reliability.comparing import compared
from benchmarks.reliability.forking import apart, ended, forked
from benchmarks.reliability.parts.commands import SCENARIO
from benchmarks.reliability.tally import Result, Tally, call, inside

__all__ = ("CASES", "Writers", "run", "start_together")

CASES = 100
COMMAND = ("run", "s.toml", "--jobs=1", "--keep-models", "--no-figures", "--quiet")
SENTENCE = re.compile(
    r"error: \S+: (another study is being run here( \(process .*\))?; wait for it, or give another "
    r"folder|its lock changes hands; try again)\n"
)
PROCESSES = (2, 4)
PATIENCE = 60.0  # seconds for all but one to end


@dataclass
class Writers:
    """Counts of a series of rounds.

    Attributes:
        rounds: how often a study was started by several processes.
        starts: processes.
        refused: processes that ended with exit code 2 and the sentence.
        wrong: other ends, and results that differ from those of one process.
        tracebacks: processes that failed.
    """

    rounds: int = 0
    starts: int = 0
    refused: int = 0
    wrong: list[str] = field(default_factory=list)
    tracebacks: list[str] = field(default_factory=list)


def run(cases: int) -> Result:
    """Start studies by two and by four processes; a case is a round."""
    tally = Tally("writers")
    found = Writers(**apart(__name__, "--rounds", str(cases)))
    tally.cases = found.rounds
    for problem in found.wrong:
        tally.failed("a round", problem)
    for problem in found.tracebacks:
        tally.failed("a round", problem, traceback=True)
    return tally.result(
        "two and four processes start a study in one folder; wrong: more or less than one runs, or "
        f"results differ; {found.starts} starts, {found.refused} refused with a sentence"
    )


def start_together(rounds: int, *, seed: int = 0) -> Writers:
    """Start studies in the current folder, which has a scenario ``s.toml``."""
    draw, counts = random.Random(seed), Writers()
    start = time.monotonic()
    assert ended(forked(partial(_start, Path("whole"), 0.0, None))) == 0, "the study fails"
    seconds = time.monotonic() - start
    for number in range(rounds):
        together, processes = number % 2 == 0, PROCESSES[number // 2 % len(PROCESSES)]
        folder, free = Path(f"study{number}"), Path(f"free{number}")
        at = time.monotonic() + 0.1
        later = [0.0 if together else draw.uniform(0, seconds) for _ in range(processes)]
        children = [
            forked(partial(_start, folder, at + wait, free if together else None)) for wait in later
        ]
        codes = _all_but_one(children) if together else {}
        free.touch()
        codes |= {child: ended(child) for child in children if child not in codes}
        _judge(counts, folder, codes, together)
    return counts


def _start(folder: Path, at: float, free: Path | None) -> int:
    """Run the study at a time; its runs begin when the file ``free`` exists, if it is given."""
    from cl_moe.runs import single

    right = single.run_one

    def wait(*given: Any) -> Any:
        while free is not None and not free.exists():
            time.sleep(0.002)
        return right(*given)

    time.sleep(max(0.0, at - time.monotonic()))
    with patch.object(single, "run_one", wait):
        said = call([*COMMAND, f"--out={folder}"])
    if said.code == 2 and SENTENCE.fullmatch(said.text):
        return 2
    if said.code:
        sys.stderr.write(said.text)
    return 3 if said.code == 2 else said.code


def _all_but_one(children: Sequence[int]) -> dict[int, int | None]:
    """Wait for all children but one, for some time; return the exit codes of those that ended."""
    codes: dict[int, int | None] = {}
    end = time.monotonic() + PATIENCE
    while len(codes) < len(children) - 1 and time.monotonic() < end:
        for child in children:
            code = None if child in codes else ended(child, 0.002)
            codes |= {} if code is None else {child: code}
    return codes


def _judge(counts: Writers, folder: Path, found: dict[int, int | None], together: bool) -> None:
    codes = sorted(code or 0 for code in found.values())
    done, refused = codes.count(0), codes.count(2)
    counts.rounds += 1
    counts.starts += len(codes)
    counts.refused += refused
    if 1 in codes:
        counts.tracebacks.append(f"{folder}: exit codes {codes}")
    elif done + refused < len(codes) or done < 1 or (together and done > 1):
        counts.wrong.append(f"{folder}: exit codes {codes} (3: invalid input, other sentence)")
    elif problems := compared(Path("whole"), folder):
        counts.wrong.append(f"{folder}: {'; '.join(problems)}")


def main() -> None:
    """Print the counts as JSON."""
    import cl_moe.cli
    import cl_moe.training.stepping  # noqa: F401 - once, not in every child

    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=CASES)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as place, inside(Path(place)):
        Path("s.toml").write_text(SCENARIO)
        found = start_together(given.rounds)
    print(json.dumps(asdict(found)))


if __name__ == "__main__":
    main()
