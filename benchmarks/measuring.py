"""Measure things side by side, and write what was found to ``results/benchmarks``.

A figure here is a quotient of times taken in turn in one run, so that what else the machine does
falls on both: seconds of one machine mean nothing on another. Nothing is asserted.
"""

from __future__ import annotations

import csv
import gc
import io
import os
import platform
import statistics
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from cl_moe.runs.folder.files import write_text

__all__ = ("Figure", "Page", "quotient", "side_by_side", "spread")

RESULTS = Path(__file__).parents[1] / "results" / "benchmarks"

Clock = Literal["wall", "cpu"]


@dataclass(frozen=True)
class Figure:
    """One measured number with its spread, and what was asked of it.

    Attributes:
        what: what was measured, in words.
        median: the median over rounds.
        low: the lower quartile.
        high: the upper quartile.
        rounds: how many rounds there were.
        at_most: what was asked for, if anything was.
        unit: printed behind the number; none for a quotient.
    """

    what: str
    median: float
    low: float
    high: float
    rounds: int
    at_most: float | None = None
    unit: str = ""

    @property
    def verdict(self) -> str:
        """``met``, or by how much it is missed; empty where nothing was asked."""
        if self.at_most is None:
            return ""
        if self.median <= self.at_most:
            return "met"
        return f"missed by {self.median - self.at_most:.2g}"


def side_by_side(
    variants: Mapping[str, Callable[[], object]],
    rounds: int = 15,
    warmup: int = 2,
    clock: Clock = "wall",
) -> dict[str, list[float]]:
    """Return the seconds of each variant, round by round; in each round all run, in a new order.

    Args:
        variants: what to call, by name.
        rounds: how often each is timed.
        warmup: rounds before that, which are not kept.
        clock: seconds that pass, or those of this process's CPU time.

    >>> times = side_by_side({"a": lambda: sum(range(10)), "b": lambda: None}, rounds=3, warmup=1)
    >>> {name: len(found) for name, found in times.items()}
    {'a': 3, 'b': 3}
    """
    now = time.perf_counter if clock == "wall" else time.process_time
    order = np.random.default_rng(0)
    names, found = list(variants), {name: [0.0] * 0 for name in variants}
    gc.collect()
    gc.disable()
    try:
        for number in range(warmup + rounds):
            for i in order.permutation(len(names)):
                start = now()
                variants[names[i]]()
                seconds = now() - start
                if number >= warmup:
                    found[names[i]].append(seconds)
    finally:
        gc.enable()
    return found


def quotient(
    what: str,
    above: Sequence[float],
    below: Sequence[float],
    at_most: float | None = None,
) -> Figure:
    """Return the quotient of two variants' times, taken round by round.

    >>> figure = quotient("b / a", [2.0, 4.0, 6.0], [2.0, 2.0, 2.0], at_most=1.5)
    >>> figure.median, figure.low, figure.high, figure.verdict
    (2.0, 1.5, 2.5, 'missed by 0.5')
    """
    return spread(what, [a / b for a, b in zip(above, below, strict=True)], at_most)


def spread(
    what: str, values: Sequence[float], at_most: float | None = None, unit: str = ""
) -> Figure:
    """Return the median and quartiles of what was measured in each round."""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return Figure(what, statistics.median(values), low, high, len(values), at_most, unit)


class Page:
    """A page of figures: ``results/benchmarks/NAME.md`` to read and ``NAME.csv`` to compute with.

    Args:
        name: of the benchmark, which is its module's name.
        title: the page's heading.
        about: what was compared with what, and what the reader should know of it.
        folder: where it is written.
    """

    def __init__(self, name: str, title: str, about: str, folder: Path = RESULTS) -> None:
        self.name, self.title, self.about, self.folder = name, title, about, folder
        self._sections: list[tuple[str, list[Figure]]] = []
        self._notes: list[str] = []

    def add(self, section: str, figures: Sequence[Figure]) -> None:
        """Print figures under a heading, and keep them for the page."""
        self._sections.append((section, list(figures)))
        print("\n".join([f"## {section}", *_table(figures)]), flush=True)

    def note(self, text: str) -> None:
        """Add a paragraph at the end: why a figure is missed, and what was tried."""
        self._notes.append(text)

    def write(self) -> None:
        """Write the page and its numbers."""
        where = f"`make bench BENCH={self.name}` on {machine()}."
        how = "Medians over rounds in which all variants took turns, with their quartiles."
        lines = [f"# {self.title}", "", self.about, "", where, how]
        for section, figures in self._sections:
            lines += ["", f"## {section}", "", *_table(figures)]
        for text in self._notes:
            lines += ["", text]
        table = io.StringIO()
        writer = csv.writer(table, lineterminator="\n")
        writer.writerow(["section", "what", "median", "low", "high", "rounds", "at_most", "unit"])
        for section, figures in self._sections:
            for f in figures:
                asked = "" if f.at_most is None else f.at_most
                row = [section, f.what, f.median, f.low, f.high, f.rounds, asked, f.unit]
                writer.writerow(row)
        self.folder.mkdir(parents=True, exist_ok=True)
        write_text(self.folder / f"{self.name}.md", "\n".join(lines) + "\n")
        write_text(self.folder / f"{self.name}.csv", table.getvalue())


def machine() -> str:
    """Return what the figures were taken on, in words."""
    import torch

    return (
        f"{os.cpu_count()} cores ({platform.machine()}), {torch.get_num_threads()} torch threads, "
        f"torch {torch.__version__}, Python {platform.python_version()}"
    )


def _table(figures: Sequence[Figure]) -> list[str]:
    lines = ["| what | median | quartiles | asked for | verdict |", "|---|---:|---:|---:|---|"]
    for f in figures:
        unit = f" {f.unit}" if f.unit else ""
        asked = "" if f.at_most is None else f"≤ {f.at_most:g}{unit}"
        spread = f"{f.low:.3g} to {f.high:.3g}"
        lines.append(f"| {f.what} | {f.median:.3g}{unit} | {spread} | {asked} | {f.verdict} |")
    return lines
