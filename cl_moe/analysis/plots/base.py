"""The interface of figures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from cl_moe.analysis.data import StudyData

__all__ = ("FigureSpec",)


class FigureSpec(NamedTuple):
    """A figure: its caption, data and drawing functions.

    A third-party figure is such a value, named ``package.module:object`` or declared as an entry
    point of the group ``cl_moe.figure``.

    Attributes:
        caption: what it shows, without a full stop; ``accuracy`` in it becomes the study's score.
        data: takes the study (and a method's name, where ``methods`` is given) and returns the
            data to draw; raises :class:`~cl_moe.analysis.plots.style.AbsentError` without data.
        draw: takes the result of ``data`` and returns a matplotlib figure, made without pyplot
            (:func:`cl_moe.analysis.plots.style.figure`).
        methods: returns the methods with one figure each; None for a single figure.
    """

    caption: str
    data: Callable[..., Any]
    draw: Callable[..., Figure]
    methods: Callable[[StudyData], list[str]] | None = None
