"""One cause, one line."""

from __future__ import annotations

import pickle

from cl_moe.errors import InputError, one_per_cause, one_per_place


def test_each_cause_is_told_once_in_the_order_of_first_places() -> None:
    found = [("a", "first a"), ("b", "only b"), ("a", "second a"), ("a", "third a")]
    assert one_per_cause(found) == ["first a (and 2 more like it)", "only b"]
    assert one_per_cause([]) == []


def test_problems_that_differ_in_their_places_alone_are_told_once() -> None:
    nan = "task '{}', {} data: sample {} holds NaN or infinity; clean or remove it"
    problems = [
        nan.format("t0", "train", 5) + " (and 3 more like it)",
        "task 't0': 11 classes of 10; give fewer",
        nan.format("t1", "test", 8),
        nan.format("t2", "test", 1),
        "task 't1': 12 classes of 10; give fewer",
    ]
    assert one_per_place(problems) == [
        nan.format("t0", "train", 5)
        + " (and 3 more like it) (and the same in 2 more places, next in task 't1', test data)",
        problems[1],
        problems[4],
    ]
    assert one_per_place(["x: wrong", "y: wrong"]) == ["x: wrong (and the same in y)"]
    assert one_per_place(["x: wrong", "x: wrong"]) == ["x: wrong"]


def test_an_error_keeps_its_problems_between_processes() -> None:
    error = pickle.loads(pickle.dumps(InputError(["a", "b"])))  # noqa: S301 - our own bytes
    assert error.problems == ["a", "b"]
