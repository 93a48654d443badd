"""Targets of claims, and their evaluation on the studies."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np
from measures import Measure, NotMeasuredError

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.stats import Interval, interval

__all__ = ("Finding", "Line", "Target", "Unit", "evaluate")

Unit: TypeAlias = Literal["points", "level", "ratio"]


@dataclass(frozen=True)
class Target:
    """A target for the mean, or (``whole``) for the whole interval, in the printed unit."""

    sign: Literal["≥", "≤", ">", "<", "±"]
    value: float
    within: float = 0.0
    whole: bool = False

    def __str__(self) -> str:
        if self.sign == "±":
            return f"{self.value:g} ± {self.within:g}"
        return f"{self.sign} {self.value:.3g}" + (", the whole interval" if self.whole else "")

    def margin(self, found: Interval) -> float:
        """Return the margin by which it is met; negative if missed, NaN if unknown."""
        if self.sign == "±":
            return self.within - abs(found.mean - self.value)
        if self.sign in ("≥", ">"):
            return (found.low if self.whole else found.mean) - self.value
        return self.value - (found.high if self.whole else found.mean)

    def verdict(self, found: Interval) -> str:
        """Return "met by ..." or "missed by ...", and whether that is significant."""
        margin = self.margin(found)
        if math.isnan(margin):
            return "open: no interval from one seed" if found.seeds == 1 else "open: undefined"
        word = "met" if margin > 0 or (margin == 0 and self.sign in ("≥", "≤", "±")) else "missed"
        if math.isinf(margin):
            return f"{word}: not reached"
        edges = (self.value - self.within, self.value + self.within)
        unsure = not self.whole and any(found.low < edge < found.high for edge in edges)
        size = abs(margin)
        by = f"{size:.1f}" if size >= 1 else f"{size:.2g}"
        return f"{word} by {by}" + (", not significant" if unsure else "")


@dataclass(frozen=True)
class Line:
    """A claim on one study or on several; without a target it is informative.

    Accuracies are in points: a difference has its sign, a ``level`` has not. A ``ratio`` is
    averaged over seeds on the log scale, where half and twice are as far from one.
    """

    studies: tuple[str, ...]
    what: str
    measure: Measure
    target: Target | None = None
    unit: Unit = "points"


@dataclass(frozen=True)
class Finding:
    """The evaluation of a line: an interval in the printed unit, or why there is none."""

    line: Line
    found: Interval | None
    seeds: int = 0
    note: str = ""

    @property
    def verdict(self) -> str:
        """Met or missed and by how much; "not run" or "not measured" and why; or nothing."""
        if self.found is None:
            return self.note
        return self.line.target.verdict(self.found) if self.line.target else ""


def evaluate(line: Line, studies: Mapping[str, StudyData | None]) -> Finding:
    """Measure one line; a study that is not there (None, or no entry) is "not run"."""
    missing = [name for name in line.studies if studies.get(name) is None]
    if missing:
        which = f": {', '.join(missing)}" if len(line.studies) > 1 else ""
        return Finding(line, None, note=f"not run{which}")
    there = [data for name in line.studies if (data := studies[name]) is not None]
    try:
        values, note = line.measure(*there)
    except NotMeasuredError as error:
        return Finding(line, None, note=f"not measured: {error}")
    ratio = line.unit == "ratio"
    over = interval(np.log(values) if ratio else 100 * values)
    mean, low, high = (math.exp(end) if ratio else end for end in over[:3])
    found = over._replace(mean=mean, low=low, high=high)
    return Finding(line, found, max(len(data.seeds) for data in there), note)
