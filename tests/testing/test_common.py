"""Checks of all kinds catch what is broken in any part."""

from __future__ import annotations

import pytest

from cl_moe import catalog
from cl_moe.continual.growth.base import GrowthPolicy
from cl_moe.testing import part_checks, run_checks
from cl_moe.testing.base import NotApplicable

Good = catalog.resolve("growth", "per_task")
CHECKS = dict(part_checks("growth"))


class Documented(Good):
    """Grows for each task.

    >>> Documented().freezes
    True
    """


class Undocumented(Good):
    pass


class NoSentence(Good):
    """grows"""


def with_docstring(text):
    """Return a policy with a docstring of its own, which pytest does not run."""
    return type("Documented", (Good,), {"__doc__": text, "__module__": __name__})


WRONG = "A sentence.\n\n>>> Good().freezes\nFalse\n"


class Unannotated(Good):
    def __init__(self, size=1):
        self.size = size


class Needs(Good):
    def __init__(self, size: int):
        self.size = size


class Refuses(Good):
    def __init__(self, size: int = 1):
        raise ValueError(f"size: {size} is too small")


class Unfinished(GrowthPolicy):
    pass


class Numbered(Good):
    made = 0

    def __init__(self):
        Numbered.made += 1

    def __repr__(self):
        return f"Numbered({self.made})"


@pytest.mark.parametrize(
    ("check", "part", "words"),
    [
        ("docstring", Undocumented, "there is no docstring"),
        ("docstring", NoSentence, "is not a sentence: 'grows'"),
        ("example", NoSentence, "the docstring has no example"),
        (
            "example",
            with_docstring(WRONG),
            "the example in the docstring fails: Good()",
        ),
        ("defaults", Unannotated, "size: no annotation"),
        ("constructs", Refuses, "Refuses.size: 1 is too small"),
        (
            "constructs",
            Unfinished,
            "it lacks decide; define the abstract methods of its base class",
        ),
        ("readable", Numbered, "two equal parts have different reprs"),
    ],
)
def test_each_check_catches(check, part, words):
    with pytest.raises(AssertionError) as caught:
        CHECKS[check](part)
    assert words in str(caught.value)


@pytest.mark.parametrize("check", ["docstring", "example", "defaults", "constructs"])
def test_what_is_whole_passes(check):
    CHECKS[check](Documented)


@pytest.mark.parametrize(
    ("check", "part", "words"),
    [
        ("defaults", Needs, "size has no default"),
        ("readable", Good, "its repr is Python's own"),
    ],
)
def test_what_does_not_apply_says_why(check, part, words):
    with pytest.raises(NotApplicable, match=words):
        CHECKS[check](part, {"size": 1} if part is Needs else None)


def test_a_part_that_cannot_be_made_is_looked_at_no_further():
    results = list(run_checks("growth", Unfinished))
    assert [result.outcome for result in results] == ["failed"]
