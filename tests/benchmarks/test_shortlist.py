"""The benchmark of shortlists, at tiny size: what it compares, not how fast that is."""

from __future__ import annotations

from benchmarks.shortlist import learned, searches


def test_a_list_of_all_tasks_is_the_full_search() -> None:
    full, listed = (learned(9, 0, length, lengths=(1, 2)) for length in (None, 9))
    assert (full.accuracy, full.experts) == (listed.accuracy, listed.experts)
    assert listed.recall == {}
    assert all(0 <= share <= 1 for share in full.recall.values())
    assert full.recall[2] >= full.recall[1], "the longer list holds the shorter one"


def test_searches_are_timed() -> None:
    assert [figure.what for figure in searches([100], rounds=3)] == ["search among 100"]
