"""Features by name: what a head may read of a row."""

from __future__ import annotations

from typing import NamedTuple

from cl_moe.moe.symmetry import Symmetry

__all__ = ("OWN", "RAW", "Block")


class Block(NamedTuple):
    """Something that is made of a row, for a head to read.

    Attributes:
        task: the earlier task whose path is read; -1 for the raw input, -2 for the task's own path.
        part: the path's ``"features"``, its ``"predictions"`` (class probabilities), its
            ``"log predictions"``, or the output of its stage of that number (images are averaged over
            2 x 2 pixels).
        symmetry: what images are looked at through before they enter the path; None for nothing.
    """

    task: int
    part: str | int = "features"
    symmetry: Symmetry | None = None


RAW = Block(-1)
"""The raw input: behind the encoder of a chain, or what a frozen base network makes of it."""

OWN = Block(-2)
"""The features of the task's own path."""
