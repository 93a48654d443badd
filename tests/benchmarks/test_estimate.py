from __future__ import annotations

import pytest

from benchmarks.estimate import FACTOR, Case, Found, compare, figures


def test_a_study_is_estimated_and_run() -> None:
    budget = ("training.epochs=1", "training.min_steps=1")
    found = compare(Case("digits_quick", budget, ("dense", "single_task")))
    assert [one.method for one in found] == ["dense", "single_task"]
    assert all(one.estimated > 0 and one.measured > 0 for one in found)
    assert [one.experts for one in found] == [None, 5.0]
    assert found[1].at_most == 5.0


def test_an_estimate_that_is_half_is_off_by_two() -> None:
    study, off, *methods = figures([Found("a", 1, 2, None, None), Found("b", 2, 4, None, None)])
    assert (study.median, off.median, len(methods)) == (0.5, 2.0, 2)
    assert off.verdict == f"missed by {2 - FACTOR:.2g}"


def test_what_is_right_within_the_factor_is_met() -> None:
    assert figures([Found("a", 4, 3, None, None)])[1].verdict == "met"


def test_the_study_is_judged_by_all_of_it() -> None:
    found = [Found("long", 100, 100, None, None), Found("short", 3, 1, None, None)]
    assert figures(found)[0].median == pytest.approx(103 / 101)
