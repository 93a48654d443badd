"""Ctrl-C and SIGTERM: one sentence, and exit code 130 or 143."""

from __future__ import annotations

import contextlib
import functools
import shlex
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from types import FrameType
from typing import ParamSpec

import typer

from cl_moe.cli.printing import say

__all__ = (
    "Terminated", "again", "exit_code", "saying_so", "sigterm_as_interrupt", "stoppable",
)  # fmt: skip

P = ParamSpec("P")


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Raise :class:`Terminated` in the main thread on SIGTERM, unless the signal is handled."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated


def stoppable(command: Callable[P, None]) -> Callable[P, None]:
    """Return a command that ends with a sentence when it is interrupted, instead of a traceback."""

    @functools.wraps(command)
    def run(*args: P.args, **named: P.kwargs) -> None:
        try:
            command(*args, **named)
        except KeyboardInterrupt as stop:
            raise typer.Exit(_said(stop)) from None

    return run


@contextlib.contextmanager
def saying_so() -> Iterator[None]:
    """Exit with a sentence if the body, the command's parser, is interrupted."""
    try:
        yield
    except KeyboardInterrupt as stop:
        sys.exit(_said(stop))
    except typer.Abort as end:
        if isinstance(end.__cause__, KeyboardInterrupt):
            sys.exit(_said(end.__cause__))
        raise


def _said(stop: KeyboardInterrupt) -> int:
    """Say that a command was stopped, and how to go on; return the exit code."""
    say(f"{str(stop) or 'stopped'}\nto resume: {again()}", err=True)
    return exit_code(stop)


def exit_code(stop: BaseException) -> int:
    """Return the exit code of an interrupted command: 128 and the number of the signal.

    >>> exit_code(KeyboardInterrupt()), exit_code(Terminated())
    (130, 143)
    """
    chain = (stop, stop.__cause__)
    return 143 if any(isinstance(error, Terminated) for error in chain) else 130


def again() -> str:
    """Return the command that goes on."""
    return f"cl-moe {shlex.join(word for word in sys.argv[1:] if word != '--fresh')}"
