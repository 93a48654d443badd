"""The error and the warning for users, and the summary of problems."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Callable, Hashable, Iterable, Iterator
from typing import Any

__all__ = (
    "InputError",
    "InputWarning",
    "all_of",
    "did_you_mean",
    "enough_memory",
    "one_per_cause",
    "one_per_place",
    "out_of_memory",
    "shortened",
)


class InputError(ValueError):
    """An input (a file, an option, a data set, a plug-in) cannot be used.

    Holds every problem, not only the first. The command line prints one per line and exits with 2.

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
    """An input is used, but may not mean what it seems to."""


def one_per_cause(found: Iterable[tuple[Hashable, str]], more: str = "more like it") -> list[str]:
    """Return one sentence per cause: the first one, with the number of further ones.

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
    """Return problems that differ only in their places as one: the first, with a count.

    The place is the text before the first colon; the number of a sample is ignored.

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


_MEMORY = (
    "DefaultCPUAllocator",
    "out of memory",
    "Storage size calculation overflowed",
    "array is too big",
)
"""What torch and numpy say in errors of other types than MemoryError."""


def out_of_memory(error: BaseException) -> bool:
    """Tell whether an error means that there is not enough memory for something.

    >>> out_of_memory(MemoryError()), out_of_memory(ValueError("no"))
    (True, False)
    """
    if isinstance(error, MemoryError):
        return True
    said = str(error)
    return isinstance(error, (RuntimeError, ValueError)) and any(words in said for words in _MEMORY)


@contextlib.contextmanager
def enough_memory(place: str, remedy: str) -> Iterator[None]:
    """Turn errors of memory into an InputError that names the place and a remedy.

    >>> with enough_memory("sources.d", "give a smaller dim"):
    ...     raise MemoryError
    Traceback (most recent call last):
    ...
    cl_moe.errors.InputError: sources.d: there is not enough memory; give a smaller dim
    """
    try:
        yield
    except (MemoryError, RuntimeError, ValueError) as error:
        if isinstance(error, InputError) or not out_of_memory(error):
            raise
        said = str(error).strip().split("\n")[0]
        why = f" ({said})" if said else ""
        raise InputError(f"{place}: there is not enough memory{why}; {remedy}") from error


def all_of(*actions: Callable[[], Any]) -> list[Any]:
    """Return the results of several actions; the problems of all of them are collected.

    Raises:
        InputError: with the problems of all actions.

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


def shortened(value: object, most: int = 60) -> str:
    """Return a value as Python writes it, in at most ``most`` characters.

    >>> shortened(10**5000), shortened("short"), shortened([0] * 100, most=10)
    ('a number of more than 4300 digits', "'short'", '[0, 0, ...')
    """
    try:
        text = repr(value)
    except ValueError:  # Python writes no longer numbers
        return "a number of more than 4300 digits"
    return text if len(text) <= most else f"{text[: most - 3]}..."


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
