"""The one way of text to the terminal: what a terminal would obey is written as an escape."""

from __future__ import annotations

import typer

from cl_moe.escape import lines

__all__ = ("say",)


def say(text: object, *, err: bool = False, newline: bool = True) -> None:
    r"""Print a text of one line or several; see :func:`cl_moe.escape.lines`.

    Args:
        text: what is printed.
        err: to standard error.
        newline: whether to end the line.

    >>> say("a\x1b[31mb")
    a\x1b[31mb
    """
    typer.echo(lines(str(text)), err=err, nl=newline)
