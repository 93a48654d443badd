"""How checks are run, and of which kind a part is."""

from __future__ import annotations

import pytest
import torch

from cl_moe import catalog
from cl_moe.analysis.metrics import METRICS
from cl_moe.analysis.plots import FIGURES
from cl_moe.errors import InputError
from cl_moe.testing import KINDS, check_part, kind_of, part_checks, run_checks

Good = catalog.resolve("gate", "token")


class Broken(Good):
    """Routes at random.

    >>> Broken.task_aware
    False
    """

    def logits(self, x_BD, task, experts):
        raise KeyError("a bug")


@pytest.mark.parametrize(("name", "check"), part_checks("gate"))
def test_as_other_people_write_it(name, check):
    """Pytest counts what is not applicable as skipped."""
    check(Good, {"k": 2})


def test_every_kind_of_part_is_checked():
    assert set(KINDS) == {*catalog.KINDS, *catalog.TABLES}
    for kind in KINDS:
        names = [name for name, _ in part_checks(kind)]
        assert names
        assert len(set(names)) == len(names)


def test_what_is_found_is_raised_together_and_nothing_of_a_part_ends_the_checks():
    with pytest.raises(AssertionError) as caught:
        check_part("gate", Broken)
    lines = str(caught.value).splitlines()
    assert len(lines) > 5
    assert "inputs untouched: KeyError: 'a bug'" in lines
    results = {result.check: result for result in run_checks("gate", Broken)}
    assert len(results) == len(part_checks("gate"))
    assert results["example"].outcome == "passed"


def test_results_of_a_part_that_is_whole():
    results = {result.check: result for result in check_part("gate", Good, {"k": 2})}
    assert results["finite"].outcome == "passed"
    assert results["frozen do not move"].outcome == "not applicable"
    assert results["frozen do not move"].why == "it has no task-specific parameters"


def test_parameters_reach_the_part():
    failed = [r for r in run_checks("gate", Good, {"k": 0}) if r.outcome == "failed"]
    assert [(r.check, r.why) for r in failed] == [
        ("constructs", "TokenGate.k: 0 must be 1 or more experts")
    ]


def test_random_states_and_threads_are_left_as_they_were():
    before, threads = torch.get_rng_state(), torch.get_num_threads()
    list(run_checks("gate", Good))
    assert torch.equal(before, torch.get_rng_state())
    assert torch.get_num_threads() == threads


@pytest.mark.parametrize("kind", catalog.KINDS)
def test_the_kind_of_each_part_is_told(kind):
    for name in catalog.names(kind):
        assert kind_of(catalog.resolve(kind, name), name) == kind


def test_the_kind_of_values_and_functions_is_told():
    assert kind_of(METRICS["forgetting"], "m") == "metric"
    assert kind_of(FIGURES["cost"], "f") == "figure"
    assert kind_of(lambda shape: None, "f") == "method"
    assert kind_of(lambda shape: None, "f", "expert") == "expert"


@pytest.mark.parametrize(
    ("part", "wanted", "words"),
    [
        (dict, None, "'it' is not a part of a known kind; give a subclass or an instance of"),
        (3, None, "'it' is not a part of a known kind"),
        (
            Good,
            "growth",
            "'it' is not a growth; give a subclass or an instance of cl_moe.continual.gr",
        ),
        (Good, "method", "'it' is not a method; give a function from a MethodContext to a Method"),
    ],
)
def test_what_is_no_part_is_refused(part, wanted, words):
    with pytest.raises(InputError) as caught:
        kind_of(part, "it", wanted)
    assert str(caught.value).startswith(words)
