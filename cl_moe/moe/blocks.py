"""Named features of a row that a head may read."""

from __future__ import annotations

from typing import NamedTuple

from cl_moe.moe.symmetry import Symmetry

__all__ = ("OWN", "RAW", "Block")


class Block(NamedTuple):
    """A named feature vector of a row, an input of heads.

    Attributes:
        task: the earlier task whose path is read; -1 for the raw input, -2 for the task's own path.
        part: ``"features"`` of the path, ``"predictions"`` (class probabilities), ``"log
            predictions"``, or the number of a stage, for its output (images are averaged over 2 x 2
            pixels).
        symmetry: the transformation that is applied to images before the path; None for none.
    """

    task: int
    part: str | int = "features"
    symmetry: Symmetry | None = None


RAW = Block(-1)
"""The raw input: the output of a chain's encoder, or of a frozen base network."""

OWN = Block(-2)
"""The features of the task's own path."""
