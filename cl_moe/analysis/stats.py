"""Means over seeds with 95 % intervals, and differences paired by seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pandas as pd

from cl_moe.analysis.data import StudyData
from cl_moe.analysis.metrics import compute, pair_gains
from cl_moe.errors import InputError, did_you_mean

__all__ = (
    "ENOUGH",
    "LEVEL",
    "Interval",
    "differences",
    "interval",
    "intervals",
    "paired",
    "paired_records",
    "summarize",
    "summary",
    "summary_records",
    "t_band",
    "transfer_summary",
)

LEVEL = 0.95
ENOUGH = 3  # seeds; with two, a t interval is 12.7 times as wide as their difference
FEW = 10  # seeds; with fewer, bootstrap intervals are too narrow
KEYS = ["method", "metric", "group"]
RECORD = ("mean", "low", "high", "seeds")


class Interval(NamedTuple):
    """A mean over seeds, its 95 % interval, the number of seeds, and its kind.

    ``kind`` is ``t`` (Student), ``bootstrap`` or ``none`` (fewer than two seeds, or not finite:
    low and high are NaN).
    """

    mean: float
    low: float
    high: float
    seeds: int
    kind: str


def interval(values: Iterable[float]) -> Interval:
    """Return the mean and its 95 % interval; values that are NaN (undefined) are left out.

    Student's t for fewer than 10 values; else the bias-corrected and accelerated bootstrap (Efron
    1987) with 9,999 resamples from a fixed seed, so that the same values in any order give the
    same interval. One value has no interval. An infinite value (a target never reached) makes the
    mean infinite and the interval undefined.

    >>> interval([0.5])
    Interval(mean=0.5, low=nan, high=nan, seeds=1, kind='none')
    >>> found = interval([0.7, 0.8, 0.9])
    >>> round(found.low, 3), round(found.high, 3), found.kind
    (0.552, 1.048, 't')
    >>> interval([0.6, 0.7] * 5).kind
    'bootstrap'
    """
    sample = np.sort(np.array([value for value in values if not math.isnan(value)], dtype=float))
    count, nan = len(sample), float("nan")
    with np.errstate(invalid="ignore"):  # inf and -inf together have no mean
        centre = float(sample.mean()) if count else nan
    if count < 2 or not np.isfinite(sample).all():
        return Interval(centre, nan, nan, count, "none")
    if sample[-1] - sample[0] <= 1e-12 * max(1.0, abs(centre)):
        # All values are equal: the interval is a point; the bootstrap would divide 0 by 0.
        return Interval(centre, centre, centre, count, "t" if count < FEW else "bootstrap")
    if count < FEW:
        low, high = t_band(sample)
        return Interval(centre, float(low), float(high), count, "t")
    from scipy import stats

    found = stats.bootstrap(
        (sample,), np.mean, confidence_level=LEVEL, method="BCa", rng=np.random.default_rng(0)
    ).confidence_interval
    return Interval(centre, float(found.low), float(found.high), count, "bootstrap")


def t_band(
    values_S: npt.ArrayLike,
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Return the ends of Student's 95 % interval over the first axis, NaN left out.

    Args:
        values_S: shape [S, ...], one entry per seed.

    Returns:
        Two arrays of shape [...]; NaN where fewer than two values are defined.

    >>> low, high = t_band([[0.7, 0.5], [0.8, np.nan], [0.9, np.nan]])
    >>> low.round(3), high.round(3)
    (array([0.552,   nan]), array([1.048,   nan]))
    """
    from scipy import special

    sample = np.asarray(values_S, dtype=float)
    count = np.sum(~np.isnan(sample), axis=0)
    enough = count > 1
    safe = np.where(enough, count, 2)
    centre = np.nansum(sample, axis=0) / np.maximum(count, 1)
    spread = np.sqrt(np.nansum((sample - centre) ** 2, axis=0) / (safe - 1))
    half = special.stdtrit(safe - 1, 0.5 + LEVEL / 2) * spread / np.sqrt(safe)
    half = np.where(enough, half, np.nan)
    return centre - half, centre + half


def summarize(values: pd.DataFrame, keys: Sequence[str] = KEYS) -> pd.DataFrame:
    """Return one row per key with mean, low, high, seeds and interval (its kind).

    Args:
        values: tidy frame with the keys and ``value``, one row per seed.
        keys: columns that name an aggregate; the order of first appearance is kept.

    >>> frame = pd.DataFrame(
    ...     {"method": "dense", "metric": "forgetting", "group": None, "value": [0.2, 0.4]}
    ... )
    >>> summarize(frame)[["mean", "seeds", "interval"]].to_dict("records")
    [{'mean': 0.30000000000000004, 'seeds': 2, 'interval': 't'}]
    """
    found = [
        (*key, *interval(rows["value"]))
        for key, rows in values.groupby(list(keys), sort=False, dropna=False)
    ]
    frame = pd.DataFrame(found, columns=[*keys, *RECORD, "interval"])
    return _none_for_all(frame)


def _none_for_all(frame: pd.DataFrame) -> pd.DataFrame:
    if "group" not in frame:
        return frame
    groups = [None if pd.isna(group) else group for group in frame["group"]]
    return frame.assign(group=pd.Series(groups, dtype=object))


def summary(data: StudyData) -> pd.DataFrame:
    """Return every metric's mean over seeds.

    Columns: method, metric, group, mean, low, high, seeds, interval, in the unit of the
    rows (accuracies in 0..1). ``seeds`` counts the seeds for which the metric is defined; 0 means
    undefined (mean NaN). ``group`` is None for all tasks.
    """
    return summarize(compute(data))


def transfer_summary(data: StudyData) -> pd.DataFrame:
    """Return the mean over seeds of every cell of every method's transfer matrix.

    Columns: method, after, task, mean, low, high, seeds, interval: the gain in accuracy (-1..1) on
    ``task`` when it is learned after ``after`` alone, over a model that saw only ``task``.
    """
    return summarize(pair_gains(data), ["method", "after", "task"])


def intervals(frame: pd.DataFrame) -> dict[tuple[str, str, str | None], Interval]:
    """Return the intervals of :func:`summary` or :func:`paired` by (method, metric, group)."""
    columns = [*KEYS, *RECORD, "interval"]
    rows = zip(*(frame[column] for column in columns), strict=True)
    return {(m, metric, group): Interval(*found) for m, metric, group, *found in rows}


def summary_records(data: StudyData) -> list[dict[str, Any]]:
    """Return :func:`summary` for JSON: {method, metric, group, mean, low, high, seeds}.

    Undefined and infinite values are None.
    """
    return _records(summary(data), [*KEYS, *RECORD])


def paired(data: StudyData, baseline: str | None = None) -> pd.DataFrame:
    """Return every metric's difference to a baseline, paired by seed.

    Args:
        data: the study.
        baseline: label of a method; by default the study's own.

    Returns:
        method, metric, group, baseline, mean, low, high, seeds, interval: the mean over the seeds
        that both have of (method - baseline), one row for every other method. Empty where no
        baseline is named.

    Raises:
        InputError: the baseline is not a method of the study.
    """
    baseline = baseline if baseline is not None else data.baseline
    if baseline is None:
        return pd.DataFrame(columns=[*KEYS, "baseline", *RECORD, "interval"])
    if baseline not in data.method_names:
        hint = did_you_mean(baseline, data.method_names)
        raise InputError(f"baseline: '{baseline}' is not a method of the study; {hint}")
    return differences(compute(data), baseline)


def differences(values: pd.DataFrame, baseline: str) -> pd.DataFrame:
    """Return :func:`paired` from the frame that ``compute`` returns."""
    is_baseline = values["method"] == baseline
    other = values[is_baseline].drop(columns="method").rename(columns={"value": "against"})
    # An inner join on None groups would lose them: give "all tasks" a key of its own.
    joined = _keyed(values[~is_baseline]).merge(
        _keyed(other).drop(columns="group"), on=["seed", "metric", "scope"], how="inner"
    )
    # inf - inf, both never reached the target, is undefined and so left out by `interval`.
    with np.errstate(invalid="ignore"):
        joined["value"] = joined["value"] - joined["against"]
    frame = summarize(joined)
    frame.insert(3, "baseline", baseline)
    return frame


def _keyed(values: pd.DataFrame) -> pd.DataFrame:
    return values.assign(scope=["all" if g is None else f"group {g}" for g in values["group"]])


def paired_records(data: StudyData, baseline: str | None = None) -> list[dict[str, Any]]:
    """Return :func:`paired` for JSON: {method, metric, group, baseline, mean, low, high, seeds}."""
    return _records(paired(data, baseline), [*KEYS, "baseline", *RECORD])


def _records(frame: pd.DataFrame, columns: Sequence[str]) -> list[dict[str, Any]]:
    return [
        {str(key): _plain(value) for key, value in record.items()}
        for record in frame[list(columns)].to_dict("records")
    ]


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, (int, np.integer)):
        return int(value)
    return float(value) if math.isfinite(value) else None
