from __future__ import annotations

import json

from cl_moe import catalog
from cl_moe.runs.estimates.cost_model import TABLE, kind, longest_first, method_cost
from cl_moe.runs.plan import Job, MethodPlan


def test_the_table_is_of_methods_that_there_are_and_in_order() -> None:
    for name, entry in json.loads(TABLE.read_text())["methods"].items():
        assert name.partition(",")[0] in catalog.names("method")
        for spread in (entry["training"], entry["experts"]):
            assert spread is None or spread == sorted(spread)
        assert 0 <= entry["decisions"] <= 1
        assert 0 <= entry["again"] <= 1


def test_a_mixture_that_grows_as_was_not_measured_is_taken_for_its_type() -> None:
    method = MethodPlan("mine", "moe", {"growth": "mine:Growth"})
    assert kind(method) == "moe, growth mine:Growth"
    assert method_cost(method) == method_cost(MethodPlan("moe", "moe"))


def test_equals_keep_their_order() -> None:
    jobs = [Job(MethodPlan(name, "dense"), seed) for seed in (1, 0) for name in "ba"]
    assert longest_first(jobs) == jobs
