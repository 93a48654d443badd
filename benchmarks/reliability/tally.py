"""Counting of cases: what a command or a reader did with an input."""

from __future__ import annotations

import contextlib
import io
import os
import re
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis.strategies import SearchStrategy

from cl_moe.errors import InputError

__all__ = ("OBEYED", "Result", "Said", "Tally", "call", "each", "inside")

OBEYED = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ufeff]")
"""Characters that a terminal obeys, or that turn the direction of writing; not tab and newline."""
MOST_SHOWN = 5

Value = TypeVar("Value")


class Result(NamedTuple):
    """What a part counted.

    Attributes:
        name: what was tried.
        cases: how many inputs.
        tracebacks: how many ended in an exception that no user should see.
        wrong: how many ended in another way than they should: a wrong exit code, characters that a
            terminal obeys, or lost or changed results.
        seconds: wall-clock time.
        note: what the cases are, and the first failures.
    """

    name: str
    cases: int
    tracebacks: int
    wrong: int
    seconds: float
    note: str = ""

    @property
    def failures(self) -> int:
        """Cases that did not end as they should."""
        return self.tracebacks + self.wrong


class Said(NamedTuple):
    """What a command printed, and its exit code."""

    code: int
    text: str


class Tally:
    """Counts the cases of a part.

    >>> tally = Tally("readers")
    >>> tally.reads("bad.csv", lambda: int("1"))
    >>> tally.reads("worse.csv", lambda: int("one"))
    >>> result = tally.result("numbers")
    >>> result.cases, result.tracebacks, result.wrong
    (2, 1, 0)
    """

    def __init__(self, name: str) -> None:
        self.name, self.cases, self.tracebacks, self.wrong = name, 0, 0, 0
        self.shown: list[str] = []
        self._start = time.monotonic()

    def failed(self, given: object, what: str, *, traceback: bool = False) -> None:
        """Count the last case as failed, and keep the first few."""
        self.tracebacks += traceback
        self.wrong += not traceback
        if len(self.shown) < MOST_SHOWN:
            self.shown.append(f"{given!r:.300}: {what}")

    def reads(self, given: object, read: Callable[[], object]) -> None:
        """Count a reader's case: it returns, or raises an InputError that can be printed."""
        self.cases += 1
        try:
            read()
        except InputError as error:
            if not str(error).strip():
                self.failed(given, "an error without a sentence")
        except Exception as error:  # noqa: BLE001 - that is what is counted
            self.failed(given, _last_lines(error), traceback=True)

    def commands(
        self, words: Sequence[str], given: object = None, codes: Sequence[int] = (0, 2)
    ) -> Said | None:
        """Count a command's case: a right exit code, one sentence a line, nothing to be obeyed."""
        self.cases += 1
        given = words if given is None else given
        try:
            said = call(words)
        except Exception as error:  # noqa: BLE001 - that is what is counted
            self.failed(given, _last_lines(error), traceback=True)
            return None
        if said.code not in codes:
            self.failed(given, f"exit code {said.code}: {said.text[-300:]}")
        elif "Traceback (most recent call last)" in said.text:
            self.failed(given, said.text[-300:], traceback=True)
        elif OBEYED.search(said.text):
            self.failed(given, f"control characters: {said.text!r:.300}")
        return said

    def result(self, note: str = "") -> Result:
        """Return what was counted; the first failures follow the note."""
        seconds = time.monotonic() - self._start
        notes = "; ".join([note, *self.shown])
        return Result(self.name, self.cases, self.tracebacks, self.wrong, seconds, notes)


def _last_lines(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if "cl_moe" in frame.filename] or list(frames)
    where = f"{Path(own[-1].filename).name}:{own[-1].lineno}" if own else ""
    return f"{where} {type(error).__name__}: {error}"[:300]


def call(words: Sequence[str]) -> Said:
    """Run ``cl-moe`` in this process; exceptions other than of invalid input are not caught."""
    from cl_moe.cli import main

    out, argv, path = io.StringIO(), sys.argv, list(sys.path)
    sys.argv = ["cl-moe", *words]
    code = 0
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
            main()
    except SystemExit as stop:
        code = stop.code if isinstance(stop.code, int) else int(bool(stop.code))
    finally:
        sys.argv, sys.path[:] = argv, path
    return Said(code, out.getvalue())


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Make a folder the current one, without the warnings of figures within."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        os.chdir(before)


def each(inputs: SearchStrategy[Value], cases: int, act: Callable[[Value], Any]) -> None:
    """Call a function on N different inputs, the same ones each time."""

    @settings(
        max_examples=cases,
        database=None,
        derandomize=True,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def run(value: Value) -> None:
        act(value)

    run()
