"""What a figure is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

from matplotlib.figure import Figure

from cl_moe.analysis.data import StudyData

__all__ = ("FigureSpec",)


class FigureSpec(NamedTuple):
    """A figure: what it shows, and how it is drawn.

    A figure of one's own is such a value, named ``package.module:object`` or declared as an entry
    point of the group ``cl_moe.figure``.

    Attributes:
        caption: what it shows, without a full stop; ``accuracy`` in it becomes the study's score.
        data: takes the study (and a method's name, where ``methods`` is given) and returns what is
            drawn; raises :class:`~cl_moe.analysis.plots.style.AbsentError` where that is missing.
        draw: takes what ``data`` returns and gives a figure of matplotlib's, made without pyplot
            (:func:`cl_moe.analysis.plots.style.figure`).
        methods: says for which methods there is one figure each; None for one figure in all.
    """

    caption: str
    data: Callable[..., Any]
    draw: Callable[..., Figure]
    methods: Callable[[StudyData], list[str]] | None = None
