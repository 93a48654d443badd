"""What ``cl-moe estimate`` says against what studies take: ``make bench BENCH=estimate``."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from typing import NamedTuple

import cl_moe
from benchmarks.measuring import Figure, Page
from cl_moe.runs.estimates.estimate import estimate
from cl_moe.runs.planning import make_plan
from cl_moe.streams.scenario import load_scenario

__all__ = ("FACTOR", "STUDIES", "Case", "Found", "compare", "figures")

FACTOR = 1.5
"""An estimate is to be right within this factor."""

_ABOUT = """\
Studies are estimated and then run, one process, one seed, nothing else on the machine; time is
what the runs themselves say they took (training, decisions and evaluation), without start-up and
writing. A quotient of 1 is right, 2 is twice too much; the quartiles are those of the single
methods. *Off by* is the larger of the quotient and its inverse. The table behind the estimate was
fitted to the studies of `results/`, of which only `related_unrelated` is run here; its scenario
takes other data where no real ones are at hand."""


class Case(NamedTuple):
    """A study: a scenario, and what is changed about it."""

    scenario: str
    settings: tuple[str, ...] = ()
    methods: tuple[str, ...] | None = None


class Found(NamedTuple):
    """A method's seconds, as estimated and as measured, and its experts."""

    method: str
    estimated: float
    measured: float
    experts: float | None
    at_most: float | None


STUDIES = (
    Case("digits_quick", ("training.epochs=30",)),
    Case("recurring"),
    Case("related_unrelated", (), ("dense", "ewc", "replay", "single_task", "joint", "moe")),
    Case("capacity"),
    Case("long_stream", (), ("dense", "single_task", "moe")),
)


def compare(case: Case) -> list[Found]:
    """Estimate a study, run it, and return both for each method.

    >>> [found.method for found in compare(Case("digits_quick", (), ("nearest_mean",)))]
    ['nearest_mean']
    """
    spec = load_scenario(case.scenario).with_overrides(case.settings)
    names = None if case.methods is None else list(case.methods)
    asked = [m.name for m in spec.methods if not m.grid] if names is None else names
    said = estimate(make_plan(spec, asked, seeds=1))
    study = cl_moe.run(spec, asked, seeds=1, progress=False)
    taken = study.data.timings.assign(
        seconds=study.data.timings["train_seconds"] + study.data.timings["eval_seconds"]
    )
    experts = study.rows[study.rows["metric"] == "experts"].groupby("method")["value"].max()
    return [
        Found(
            method=method.method,
            estimated=method.seconds.mid,
            measured=float(taken.loc[taken["method"] == method.method, "seconds"].sum()),
            experts=None if method.method not in experts else float(experts[method.method]),
            at_most=None if method.experts is None else method.experts.high,
        )
        for method in said.methods
    ]


def figures(found: Sequence[Found]) -> list[Figure]:
    """Return what a study shows: all of it, and each method."""
    whole = sum(f.estimated for f in found) / sum(f.measured for f in found)
    each = [f.estimated / f.measured for f in found]
    low, _, high = (
        statistics.quantiles(each, n=4, method="inclusive") if len(each) > 1 else each * 3
    )
    return [
        Figure("the study: estimated / measured", whole, low, high, len(each)),
        Figure("the study: off by", off(whole), off(whole), off(whole), 1, at_most=FACTOR),
        *(
            Figure(f"{f.method}: estimated / measured", quotient, quotient, quotient, 1)
            for f, quotient in zip(found, each, strict=True)
        ),
    ]


def off(quotient: float) -> float:
    """Return by which factor an estimate is wrong.

    >>> off(0.5), off(2.0)
    (2.0, 2.0)
    """
    return max(quotient, 1 / quotient)


def main() -> None:
    """Measure, print and write the page."""
    page = Page("estimate", "What is estimated, and what is taken", _ABOUT)
    beyond = []
    for case in STUDIES:
        found = compare(case)
        page.add(" ".join([case.scenario, *case.settings]), figures(found))
        beyond += [
            f"{case.scenario}, {f.method}: {f.experts:g} experts, at most {f.at_most:g} expected"
            for f in found
            if f.experts is not None and f.at_most is not None and f.experts > f.at_most
        ]
    page.note(
        "Experts are within the estimated range in every study."
        if not beyond
        else f"Experts beyond the estimated range: {'; '.join(beyond)}."
    )
    page.write()


if __name__ == "__main__":
    main()
