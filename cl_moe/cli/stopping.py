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
INTERRUPTED = 130
"""Exit code of an interrupted command."""


class Terminated(KeyboardInterrupt):
    """SIGTERM, which ends a command as Ctrl-C does."""

    raised = False
    """Whether the signal has come."""


@contextlib.contextmanager
def sigterm_as_interrupt() -> Iterator[None]:
    """Raise :class:`Terminated` in the main thread on SIGTERM, unless the signal is handled."""
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        yield
        return
    signal.signal(signal.SIGTERM, _terminate)
    Terminated.raised = False
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)


def _terminate(number: int, frame: FrameType | None) -> None:
    Terminated.raised = True
    raise Terminated


def stoppable(command: Callable[P, None]) -> Callable[P, None]:
    """Return a command that ends with a sentence when it is interrupted, instead of a traceback."""

    @functools.wraps(command)
    def run(*args: P.args, **named: P.kwargs) -> None:
        try:
            command(*args, **named)
        except KeyboardInterrupt as stop:
            sys.exit(_said(stop))

    return run


def saying_so(app: Callable[[], int | None]) -> int | None:
    """Return what an application returns; exit with a sentence if its parser is interrupted.

    Typer ends without a word then: with the exit code, or by ``Abort``.
    """
    try:
        code = app()
    except (KeyboardInterrupt, typer.Abort):
        code = INTERRUPTED
    if code == INTERRUPTED:
        sys.exit(_said(Terminated() if Terminated.raised else KeyboardInterrupt()))
    return code


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
    return 143 if any(isinstance(error, Terminated) for error in chain) else INTERRUPTED


def again() -> str:
    """Return the command that goes on."""
    return f"cl-moe {shlex.join(word for word in sys.argv[1:] if word != '--fresh')}"
