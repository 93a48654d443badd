"""The scenario demo shows what it says, on seeds that had no part in settling it.

    pytest -m slow tests/test_demo.py

runs it with ten seeds (a few minutes on two cores).
"""

from __future__ import annotations

import pytest

import cl_moe
from cl_moe.analysis.metrics import compute
from cl_moe.analysis.stats import Interval, intervals
from cl_moe.analysis.verdict import standings, verdict
from cl_moe.runs.outcome import Study

SEEDS = range(100, 110)
"""Seeds 0 to 4 settled the stream, its budget and EWC's strength."""


@pytest.fixture(scope="module")
def demo() -> Study:
    return cl_moe.run("demo", seeds=list(SEEDS), jobs=2, progress=False)


def mean_of(study: Study, metric: str) -> dict[str, Interval]:
    found = intervals(cl_moe.analysis.summary(study.data))
    return {
        m: value for (m, name, group), value in found.items() if (name, group) == (metric, None)
    }


@pytest.mark.slow
def test_dense_forgets_twenty_points_and_ewc_is_in_between(demo: Study) -> None:
    forgotten, accuracy = mean_of(demo, "forgetting"), mean_of(demo, "average_accuracy")
    assert forgotten["dense"].mean >= 0.20
    assert forgotten["dense"].low > forgotten["ewc"].high
    assert forgotten["ewc"].low > 0 == pytest.approx(forgotten["moe"].mean)
    assert accuracy["dense"].high < accuracy["ewc"].low
    assert accuracy["ewc"].high < accuracy["moe"].low


@pytest.mark.slow
def test_the_mixture_grows_several_experts_and_reads_them_again(demo: Study) -> None:
    assert mean_of(demo, "experts")["moe"].mean >= 3
    rich = dict(zip(demo.data.tasks["task"], demo.data.tasks["group"] == "rich", strict=True))
    for seed in SEEDS:
        events = [e for e in demo.events if e["seed"] == seed]
        grew = {e["name"] for e in events if e["new_experts"]}
        assert sum(rich[name] for name in grew) >= 2
        reused = [e for e in events if not e["new_experts"] and any(e["usage"][0].values())]
        assert reused


@pytest.mark.slow
def test_the_mixture_leads_where_tasks_are_related_and_claims_nothing_elsewhere(
    demo: Study,
) -> None:
    by_group = {standing.group: standing for standing in standings(demo.data, "moe")}
    leads = {group for group, standing in by_group.items() if standing.leads}
    assert leads >= {"related", "recurring"}
    assert "unrelated" not in leads
    assert by_group["related"].gap.low > 0.05
    said = verdict(demo.data)
    assert "on related tasks (+" in said.partition(";")[0]
    assert "on unrelated tasks" in said.partition(";")[2]


@pytest.mark.slow
def test_every_run_is_there(demo: Study) -> None:
    values = compute(demo.data)
    assert set(values["seed"]) == set(SEEDS)
    assert demo.data.method_names == [
        "dense",
        "ewc",
        "replay",
        "ridge",
        "single_task",
        "joint",
        "moe",
    ]
