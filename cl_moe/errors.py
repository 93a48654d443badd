"""The one error a user sees."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

__all__ = ("InputError", "all_of", "did_you_mean")


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
