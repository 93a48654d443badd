"""Randomly generated characters."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from cl_moe.errors import InputError
from cl_moe.seeding import generator
from cl_moe.streams.sources.base import MOST_VALUES, Source, SourceData, range_problems

__all__ = ("Glyphs",)

POINTS = 12
"""Number of points per stroke."""
PEN = 0.05
"""Radius of the pen; the image is 1 wide."""
RANGES = {
    "classes": (2, 10**5),
    "strokes": (1, 100),
    "size": (4, 1024),
    "wobble": (0, 1),
    "train_per_class": (1, 10**6),
    "test_per_class": (1, 10**6),
}


@dataclass(frozen=True)
class Glyphs(Source):
    """Grey images of randomly generated characters, similar to Omniglot (Lake et al. 2015).

    A character is ``strokes`` quadratic Bezier curves with random control points. Each example is a
    variation: the control points are perturbed, and the character is rotated, scaled and shifted.
    Every character is the same in all runs; a study's seed draws the classes and examples of a
    task.

    Args:
        classes: number of characters.
        strokes: curves per character.
        size: width and height of an image, in pixels.
        wobble: standard deviation of the perturbation of control points; the image is 1 wide.
        train_per_class: training examples per class.
        test_per_class: test examples per class.

    >>> data = Glyphs(classes=3, size=10, train_per_class=4, test_per_class=2).load(
    ...     seed=0, data_dir=None
    ... )
    >>> tuple(data.train_x.shape), data.test_y.tolist()
    ((12, 1, 10, 10), [0, 0, 1, 1, 2, 2])
    """

    classes: int = 100
    strokes: int = 3
    size: int = 14
    wobble: float = 0.04
    train_per_class: int = 40
    test_per_class: int = 20

    def __post_init__(self) -> None:
        problems = range_problems(self, RANGES)
        examples = self.train_per_class + self.test_per_class
        pixels = examples * self.size**2
        values = max(pixels * self.classes, pixels * self.strokes * POINTS)
        if not problems and values > MOST_VALUES:
            problems.append(
                f"size: {self.size} with {examples} examples per class makes {values} values; give "
                f"sizes that make {MOST_VALUES} or less"
            )
        if problems:
            raise InputError(problems)

    def load(self, *, seed: int, data_dir: Path | None) -> SourceData:
        """Return the images, values in [0, 1]."""
        sizes = (self.train_per_class, self.test_per_class)
        drawn = [self._drawn(number).split(sizes) for number in range(self.classes)]
        train_x, test_x = (torch.cat(parts) for parts in zip(*drawn, strict=True))
        train_y, test_y = (torch.arange(self.classes).repeat_interleave(n) for n in sizes)
        names = tuple(f"glyph{number}" for number in range(self.classes))
        return SourceData(train_x, train_y, test_x, test_y, names)

    def _drawn(self, number: int) -> Tensor:
        """Return every example of a character, (N, 1, size, size)."""
        draw = generator(0, "glyphs", number)
        n = self.train_per_class + self.test_per_class
        control = 0.45 * (2 * torch.rand(1, self.strokes, 3, 2, generator=draw) - 1)
        control = control + self.wobble * torch.randn(n, self.strokes, 3, 2, generator=draw)
        angle, grow = 0.15 * torch.randn(2, n, generator=draw)
        shift = 0.04 * torch.randn(n, 1, 1, 2, generator=draw)
        turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(n, 2, 2)
        scaled = torch.einsum("nskd,nde->nske", control, turn) * grow.exp().view(n, 1, 1, 1)
        t = torch.linspace(0, 1, POINTS)
        curve = torch.stack([(1 - t) ** 2, 2 * t * (1 - t), t**2], 1)
        points = torch.einsum("pk,nskd->nspd", curve, scaled + shift).flatten(1, 2)
        axis = (torch.arange(self.size) + 0.5) / self.size - 0.5
        pixels = torch.cartesian_prod(axis, axis).expand(n, -1, -1)
        far = torch.cdist(pixels, points).amin(2)
        return (-0.5 * (far / PEN).square()).exp().view(n, 1, self.size, self.size)
