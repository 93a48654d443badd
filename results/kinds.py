"""The gain of experts by kind of task, over all studies; ``results/headline.py`` writes it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from cl_moe.analysis.data import Array, StudyData
from cl_moe.analysis.stats import ENOUGH, interval

__all__ = ("ALONE", "KINDS", "Pair", "is_under", "kind_of", "page", "pairs_of", "sentence")

ALONE = ("single_task", "ridge", "nearest_mean")
"""Methods that learn each task by itself."""

SYMMETRIES = ("rotated input", "inverted input", "flipped input")
KINDS = (
    "same labels, inputs shifted",
    "same labels, inputs turned or inverted",
    "labels permuted",
    "recurring",
    "new classes of a known domain",
    "unrelated",
)
POINTS = 0.03
"""How far under the best that learns alone counts as a loss."""
CHANCE = 1.645
"""Standard errors that chance explains, one-sided at 5 %."""

HEAD = """# The gain by kind of task

`make claims` generates this page from the studies of this folder that have `moe` and methods that learn alone (single_task, ridge,
nearest_mean). All of them are development streams: the policy was settled on them. *Gain*: the test accuracy of moe on a task after the
last task, minus that of the method with the best mean on this task among those that learn alone, in points; averaged over the tasks of a
kind, with a 95 % interval over seeds (Student's t). *All kinds*: each kind of task has the same weight. *Losses*: the (task, seed) pairs
in which moe is more than 3 points under that method, beyond what sampling its test rows explains (one-sided, 5 %)."""  # noqa: E501


class Pair(NamedTuple):
    """A task and a seed.

    Attributes:
        study: name of the study.
        task: name of the task.
        kind: one of :data:`KINDS`.
        seed: the seed.
        moe: accuracy of moe, 0 to 1.
        alone: accuracy of the best method that learns alone.
        n_test: test rows.
    """

    study: str
    task: str
    kind: str
    seed: int
    moe: float
    alone: float
    n_test: int


def kind_of(relation: object, derived: bool = False) -> str | None:
    """Return the kind of a task from its relation to earlier ones; None for one without relation.

    The last of :data:`KINDS` that applies, but a task with permuted pixels is unrelated.

    >>> kind_of("rotated input, low resource"), kind_of("shifted input, new classes"), kind_of("")
    ('same labels, inputs turned or inverted', 'new classes of a known domain', None)
    """
    names = set(str(relation).split(", ")) if isinstance(relation, str) else set()
    applies = (
        any(name.endswith(" input") and name not in SYMMETRIES for name in names),
        bool(names & {*SYMMETRIES}),
        "permuted labels" in names,
        "recurring" in names or (derived and names == {"low resource"}),
        "new classes" in names,
        bool(names & {"unrelated", "permuted pixels"}),
    )
    return next((k for k, yes in zip(KINDS[::-1], applies[::-1], strict=True) if yes), None)


def pairs_of(data: StudyData) -> list[Pair]:
    """Return the tasks of a study that have a kind, with each seed; no probes."""
    runs = data.accuracies()
    alone = [method for method in ALONE if method in data.method_names]
    if "moe" not in data.method_names or not alone:
        return []
    tasks = data.tasks[~data.tasks["probe"]]
    seeds = [s for s in data.seeds if all((m, s) in runs for m in ("moe", *alone))]
    found = []
    for place, task in enumerate(tasks.itertuples()):
        kind = kind_of(task.relation, isinstance(task.derived_from, str))
        if kind is None or not seeds:
            continue
        last = {m: [_last(runs[m, seed], place) for seed in seeds] for m in ("moe", *alone)}
        best = max(alone, key=lambda method: float(np.mean(last[method])))
        found += [
            Pair(data.name, str(task.task), kind, seed, moe, other, int(str(task.n_test)))
            for seed, moe, other in zip(seeds, last["moe"], last[best], strict=True)
        ]
    return found


def _last(a_TT: Array, place: int) -> float:
    return float(a_TT[-1, place])


def is_under(pair: Pair) -> bool:
    """Tell whether moe loses more than 3 points, beyond chance, as if both had other test rows.

    >>> is_under(Pair("s", "t", "recurring", 0, moe=0.80, alone=0.90, n_test=1000))
    True
    >>> is_under(Pair("s", "t", "recurring", 0, moe=0.80, alone=0.90, n_test=50))
    False
    """
    variance = sum(p * (1 - p) for p in (pair.moe, pair.alone)) / pair.n_test
    return pair.alone - pair.moe - POINTS > CHANCE * math.sqrt(variance)


def page(studies: Mapping[str, StudyData]) -> str:
    """Return the page."""
    parts = [HEAD]
    by_data = _by_data(studies)
    for title, pairs in by_data.items():
        parts += [f"## {title.capitalize()}", "\n".join(_table(pairs))]
    found = [pair for pairs in by_data.values() for pair in pairs]
    worst = sorted(filter(is_under, found), key=lambda pair: pair.moe - pair.alone)[:10]
    if worst:
        lines = [f"{p.study}, {p.task}, seed {p.seed}: {100 * p.moe:.1f} against "
                 f"{100 * p.alone:.1f}" for p in worst]  # fmt: skip
        parts += ["## The largest losses", "\n".join(f"- {line}" for line in lines)]
    return "\n\n".join(parts) + "\n"


def sentence(studies: Mapping[str, StudyData]) -> str:
    """Return the gain over all kinds of tasks, for each type of data."""
    said = []
    for name, pairs in _by_data(studies).items():
        kinds = [kind for kind in KINDS if any(pair.kind == kind for pair in pairs)]
        gain = _interval([*_over_kinds(pairs).values()])
        said.append(f"{name} {gain} points ({len(kinds)} kinds, {_tasks(pairs)} tasks)")
    return (
        "By kind of task, each kind with the same weight, moe gains over the best method that "
        f"learns each task alone: {'; '.join(said)}."
    )


def _by_data(studies: Mapping[str, StudyData]) -> dict[str, list[Pair]]:
    """Return the pairs of images and of texts."""
    found = [pair for data in studies.values() for pair in pairs_of(data)]
    texts = [pair for pair in found if pair.study.endswith("_text")]
    images = [pair for pair in found if pair not in texts]
    return {name: own for name, own in (("images", images), ("texts", texts)) if own}


def _tasks(pairs: Iterable[Pair]) -> int:
    return len({(pair.study, pair.task) for pair in pairs})


def _over_kinds(pairs: Sequence[Pair]) -> dict[int, float]:
    """Return the mean over kinds of each seed's gain, in points; seeds that all kinds have."""
    by_kind = [_by_seed(pair for pair in pairs if pair.kind == kind) for kind in KINDS]
    gains = [found for found in by_kind if found]
    common = sorted(set.intersection(*map(set, gains)))
    return {seed: float(np.mean([found[seed] for found in gains])) for seed in common}


def _table(pairs: Sequence[Pair]) -> list[str]:
    lines = ["| kind of task | tasks | seeds | gain | losses |", "|---|---:|---:|---:|---:|"]
    for kind in KINDS:
        own = [pair for pair in pairs if pair.kind == kind]
        if own:
            lines.append(_line(kind, own, _by_seed(own)))
    return [*lines, _line("**all kinds**", pairs, _over_kinds(pairs))]


def _line(name: str, pairs: Sequence[Pair], gains: Mapping[int, float]) -> str:
    under = sum(map(is_under, pairs))
    share = f"{under} of {len(pairs)}"
    return f"| {name} | {_tasks(pairs)} | {len(gains)} | {_interval([*gains.values()])} | {share} |"


def _by_seed(pairs: Iterable[Pair]) -> dict[int, float]:
    """Return the mean gain of each seed, in points."""
    gains: dict[int, list[float]] = {}
    for pair in pairs:
        gains.setdefault(pair.seed, []).append(100 * (pair.moe - pair.alone))
    return {seed: float(np.mean(values)) for seed, values in gains.items()}


def _interval(values: Sequence[float]) -> str:
    found = interval(values)
    if len(values) < ENOUGH:
        return f"{found.mean:+.1f}"
    return f"{found.mean:+.1f} ± {(found.high - found.low) / 2:.1f}"
