"""The one error a user sees, the one warning, and how problems are told."""

from __future__ import annotations

import re
from collections.abc import Callable, Hashable, Iterable
from typing import Any

__all__ = (
    "InputError",
    "InputWarning",
    "all_of",
    "did_you_mean",
    "one_per_cause",
    "one_per_place",
)


class InputError(ValueError):
    """Something from outside (a file, an option, a data set, a plug-in) cannot be used.

    Holds every problem found, not only the first. The command line prints them one a line and
    exits with 2.

    >>> raise InputError(["epochs: 0 is too few; give 1 or more", "seeds: 'x' is not a number"])
    Traceback (most recent call last):
    ...
    cl_moe.errors.InputError: epochs: 0 is too few; give 1 or more
    seeds: 'x' is not a number
    """

    def __init__(self, problems: str | Iterable[str]) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        assert self.problems, "an InputError needs a problem"
        super().__init__("\n".join(self.problems))

    def __reduce__(self) -> tuple[type[InputError], tuple[list[str]]]:
        return type(self), (self.problems,)


class InputWarning(UserWarning):
    """Something from outside is used, and stands for something else than it may seem to."""


def one_per_cause(found: Iterable[tuple[Hashable, str]], more: str = "more like it") -> list[str]:
    """Return one sentence a cause: the first one, and how many more there are.

    Args:
        found: (cause, sentence), in the order of their places.
        more: what follows the number.

    >>> one_per_cause(
    ...     [("NaN", "row 2 holds NaN"), ("label", "row 3: no label"), ("NaN", "row 9 ...")]
    ... )
    ['row 2 holds NaN (and 1 more like it)', 'row 3: no label']
    """
    first: dict[Hashable, str] = {}
    counts: dict[Hashable, int] = {}
    for cause, sentence in found:
        first.setdefault(cause, sentence)
        counts[cause] = counts.get(cause, 0) + 1
    return [
        sentence if counts[cause] == 1 else f"{sentence} (and {counts[cause] - 1} {more})"
        for cause, sentence in first.items()
    ]


_PLACE = re.compile(r"^[^:]*: ")
_COUNT = re.compile(r" \(and \d+ more like it\)")
_WHICH = re.compile(r"\b(?:sample|example) \d+(?: has [^)]*)?")


def one_per_place(problems: Iterable[str]) -> list[str]:
    """Return problems that differ in their places alone as one: the first, and a count.

    The place is what stands before the first colon; which sample is at fault does not count.

    >>> one_per_place([f"task '{k}', train data: sample {k} holds NaN" for k in range(3)])
    ["task '0', train data: sample 0 holds NaN (and the same in 2 more places, next in task '1', \
train data)"]
    """
    found: dict[str, list[str]] = {}
    for problem in dict.fromkeys(problems):
        cause = _WHICH.sub("", _COUNT.sub("", _PLACE.sub("", problem)))
        found.setdefault(cause, []).append(problem)
    return [first + _elsewhere(others) for first, *others in found.values()]


def _elsewhere(others: list[str]) -> str:
    if not others:
        return ""
    at = others[0].partition(": ")[0]
    more = "" if len(others) == 1 else f"{len(others)} more places, next in "
    return f" (and the same in {more}{at})"


def all_of(*actions: Callable[[], Any]) -> list[Any]:
    """Return what each of some actions gives; what is wrong with one hides nothing of another.

    Raises:
        InputError: with the problems of all that raise one.

    >>> all_of(lambda: 1, lambda: 2)
    [1, 2]
    """
    found, problems = [], []
    for action in actions:
        try:
            found.append(action())
        except InputError as error:  # noqa: PERF203 - every problem is to be told
            problems += error.problems
    if problems:
        raise InputError(dict.fromkeys(problems))
    return found


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """Return a hint that names the known word nearest to ``word``, or all known words.

    >>> did_you_mean("epohcs", ["epochs", "seeds"])
    "did you mean 'epochs'?"
    >>> did_you_mean("zzz", ["epochs", "seeds"])
    'known: epochs, seeds'
    """
    from difflib import get_close_matches

    words = sorted(set(known))
    near = get_close_matches(word, words, n=1, cutoff=0.6)
    if near:
        return f"did you mean '{near[0]}'?"
    return f"known: {', '.join(words)}" if words else "none is known"
