"""The whole command against a script that does the same by hand: ``make bench BENCH=command``."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from benchmarks.measuring import Figure, Page, quotient, spread

__all__ = ("ASKED", "Cost", "bare", "in_turn", "ours", "scenario", "spend")

ASKED = {"time": 1.3, "memory": 1.2, "jobs": 0.6}
"""Limits: multiples of the bare script, and the share of the time of one run after the other."""

COMMAND = "import sys; sys.argv[0] = 'cl-moe'; from cl_moe.cli import main; main()"

_SCENARIO = """\
title = "Permuted MNIST: {tasks} tasks of all of MNIST"
seeds = 1

[sources.mnist]
type = "torchvision"
dataset = "MNIST"

[stream]
shape = [1, 28, 28]

[[tasks]]
name = "plain"
source = "mnist"
{permuted}
[network]
hidden = [100, 100]

[training]
epochs = 1
batch_size = 128
learning_rate = 1e-3

[[methods]]
name = "dense"
"""

_PERMUTED = """
[[tasks]]
name = "permutation-{number}"
from = "plain"
operators = [{{ operator = "permute_pixels" }}]
"""

_ABOUT = """\
`cl-moe run` on three tasks of all of Permuted MNIST (784-100-100, one epoch of batches of 128, one
head per task, evaluation of all tasks seen after each) against `benchmarks/_permuted_mnist.py`,
which does the same with PyTorch alone. Each is a process of its own, from its start to its end,
with one torch thread: imports, reading, preparing and checking the data, training, evaluation; for
the command also learning curves, the files of the study and the table, and, told apart, figures and
report. CPU seconds are those of the process and of all that it starts; memory is the largest of one
of them. *Several runs*: `digits_quick` with dense and moe, four seeds each, 100 epochs, with two
processes and with one."""


class Cost(NamedTuple):
    """What a command has taken: seconds, CPU seconds of its processes, peak memory in MiB."""

    wall: float
    cpu: float
    memory: float


def spend(words: Sequence[str], folder: Path) -> Cost:
    """Run a command to its end in a folder, and return what it has taken.

    The memory of this process counts as the least peak of its children, so it imports little.

    >>> cost = spend([sys.executable, "-c", "sum(range(10**6))"], Path())
    >>> 0 < cost.cpu and 0 < cost.wall and 1 < cost.memory
    True
    """
    root = str(Path(__file__).parents[1])
    env = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": root}
    start = time.perf_counter()
    process = subprocess.Popen(words, cwd=folder, env=env, stdout=subprocess.DEVNULL)
    _, status, used = os.wait4(process.pid, 0)
    wall = time.perf_counter() - start
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise RuntimeError(f"{words}: exit code {process.returncode}")
    kib = used.ru_maxrss / (2**10 if sys.platform == "darwin" else 1)
    return Cost(wall, used.ru_utime + used.ru_stime, kib / 2**10)


def scenario(tasks: int = 3) -> str:
    """Return the scenario as TOML.

    >>> scenario(3).count("permute_pixels")
    2
    """
    permuted = "".join(_PERMUTED.format(number=k) for k in range(1, tasks))
    return _SCENARIO.format(tasks=tasks, permuted=permuted)


def ours(folder: Path, *words: str) -> Cost:
    """Run ``cl-moe run`` with a scenario and options, into a folder that is thrown away."""
    with tempfile.TemporaryDirectory(dir=folder) as out:
        options = ["--out", str(Path(out) / "study"), "--quiet"]
        return spend([sys.executable, "-c", COMMAND, "run", *words, *options], folder)


def bare(folder: Path, data: Path) -> Cost:
    """Run the script that does the same by hand."""
    return spend([sys.executable, "-m", "benchmarks._permuted_mnist", str(data)], folder)


def in_turn(variants: Mapping[str, Callable[[], Cost]], rounds: int) -> dict[str, list[Cost]]:
    """Return the costs of each variant, round by round; in each round all run, in a new order.

    >>> found = in_turn({"a": lambda: Cost(1, 1, 1), "b": lambda: Cost(2, 2, 2)}, rounds=2)
    >>> [cost.wall for cost in found["b"]]
    [2, 2]
    """
    order, names = np.random.default_rng(0), list(variants)
    found: dict[str, list[Cost]] = {name: [] for name in names}
    for _ in range(rounds):
        for i in order.permutation(len(names)):
            found[names[i]].append(variants[names[i]]())
    return found


def _compared(found: Mapping[str, list[Cost]], names: Sequence[str]) -> list[Figure]:
    below = found["bare"]
    figures = []
    for name in names:
        for field, asked in (("wall", "time"), ("cpu", "time"), ("memory", "memory")):
            above, base = ([getattr(c, field) for c in costs] for costs in (found[name], below))
            what = {"wall": "seconds", "cpu": "CPU seconds", "memory": "peak memory"}[field]
            at_most = ASKED[asked] if name == "command" else None
            figures.append(quotient(f"{what}: {name} / bare", above, base, at_most))
    return figures


def main() -> None:
    """Take the figures and write the page, if there is MNIST."""
    data = Path(os.environ.get("CL_MOE_DATA_DIR", "data")).resolve()
    if not (data / "MNIST" / "raw" / "train-images-idx3-ubyte.gz").exists():
        print(f"no MNIST in {data} (CL_MOE_DATA_DIR): nothing is measured")
        return
    page = Page("command", "The whole command", _ABOUT)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "permuted.toml").write_text(scenario(), encoding="utf-8")
        words = ("permuted.toml", "--data-dir", str(data))
        alone = {
            "bare": lambda: bare(folder, data),
            "command": lambda: ours(folder, *words, "--no-figures"),
            "command with figures": lambda: ours(folder, *words),
        }
        found = in_turn(alone, rounds=5)
        page.add("Quotients", _compared(found, [n for n in found if n != "bare"]))
        page.add("Seconds", [spread(n, [c.wall for c in found[n]], unit="s") for n in found])
        page.add("CPU seconds", [spread(n, [c.cpu for c in found[n]], unit="s") for n in found])
        page.add(
            "Peak memory", [spread(n, [c.memory for c in found[n]], unit="MiB") for n in found]
        )
        study = ("digits_quick", "--methods", "dense,moe", "--seeds", "4", "--no-figures")
        longer = ("--set", "training.epochs=100")
        several = {
            str(jobs): lambda jobs=jobs: ours(folder, *study, *longer, "--jobs", str(jobs))
            for jobs in (1, 2)
        }
        found = in_turn(several, rounds=3)
        walls, cpus = (
            {n: [getattr(c, f) for c in found[n]] for n in found} for f in Cost._fields[:2]
        )
        page.add(
            "Several runs",
            [
                quotient("seconds: --jobs 2 / --jobs 1", walls["2"], walls["1"], ASKED["jobs"]),
                quotient("CPU seconds: --jobs 2 / --jobs 1", cpus["2"], cpus["1"]),
                spread("--jobs 1", walls["1"], unit="s"),
            ],
        )
    if (load := os.getloadavg()[1]) > (os.cpu_count() or 1) + 1:
        page.note(
            f"Other work ran meanwhile (load {load:.1f}): CPU seconds tell more than seconds."
        )
    page.write()


if __name__ == "__main__":
    main()
