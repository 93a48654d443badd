"""Under which symmetry new images look like those that an earlier path was trained on.

Shape letters: N examples, C channels, G cells along each side.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_moe.moe.symmetry import Symmetry
from cl_moe.state import State

__all__ = ("SYMMETRIES", "Alignment", "ImageStatistics", "image_statistics")

CELLS = 7
"""Cells along each side of the grid that the look of a task's images is kept on."""
ROWS = 512
"""Examples that the look of a task is taken from."""
MARGIN = 0.02
"""Nats a cell by which images must look more familiar under a symmetry than without one."""
SYMMETRIES = 16
"""Symmetries to choose from: four turns, flipped or not, inverted or not."""


class ImageStatistics(NamedTuple):
    """Mean and variance of a task's images, cell by cell, each (C, G, G)."""

    mean: Tensor
    variance: Tensor

    def cross_entropy(self, other: ImageStatistics) -> float:
        """Return the cross-entropy, in nats a cell, of images with another look under this one.

        Both are taken for Gaussians whose cells are independent.

        >>> dark, light = (
        ...     ImageStatistics(torch.full((1, 2, 2), m), torch.ones(1, 2, 2)) for m in (0.0, 1.0)
        ... )
        >>> dark.cross_entropy(dark) < dark.cross_entropy(light)
        True
        """
        variance = self.variance + 0.05 * self.variance.mean() + 1e-6
        off = (other.variance + (other.mean - self.mean).square()) / variance
        return float(0.5 * (off + variance.log()).mean())


def image_statistics(images: Tensor) -> ImageStatistics:
    """Return the look of images (N, C, H, W); at most ``ROWS`` of them are looked at.

    >>> image_statistics(torch.ones(5, 3, 28, 28)).mean.shape
    torch.Size([3, 7, 7])
    """
    rows = torch.linspace(0, len(images) - 1, min(len(images), ROWS)).round().long()
    some = images[rows].detach().float()
    height, width = some.shape[2:]
    grid = F.adaptive_avg_pool2d(some, (min(CELLS, height), min(CELLS, width)))
    return ImageStatistics(grid.mean(0).cpu(), grid.var(0, correction=0).cpu())


class Alignment:
    """Remembers what the images of earlier tasks looked like, and finds symmetries for new ones.

    A path cannot make much of images that are turned or inverted, though it knows what is on them.
    Where they look, by mean and variance cell by cell, more like those that it was trained on once
    they are turned (or flipped, or inverted) back, it is worth trying to show them to it that way.
    No pass through any path is needed to find that out, and labels are not looked at.

    Args:
        most: pairs of a path and a symmetry that are named, at most.

    >>> bright_above = torch.zeros(9, 1, 8, 8)
    >>> bright_above[:, :, :4] = 1
    >>> alignment = Alignment(most=1)
    >>> alignment.add(0, bright_above)
    >>> [(task, symmetry)] = alignment.symmetries(bright_above.rot90(2, (2, 3)), [0])
    >>> task, bool((symmetry(bright_above.rot90(2, (2, 3))) == bright_above).all())
    (0, True)
    >>> alignment.symmetries(bright_above, [0]), alignment.nearest(bright_above, [0])  # as they are
    ([], (0, None))
    """

    def __init__(self, most: int) -> None:
        if most < 0:
            raise ValueError(f"symmetries: {most} must be 0 (for none) or more")
        self.most = most
        self._statistics: dict[int, ImageStatistics] = {}

    def add(self, task: int, z: Tensor) -> None:
        """Take in what the layers read of a task, (N, C, H, W); nothing of other rows."""
        if self.most and z.dim() == 4:
            self._statistics[task] = image_statistics(z)

    def state(self) -> State:
        """Return the statistics of the images of earlier tasks."""
        statistics = {str(task): torch.stack([*stats]) for task, stats in self._statistics.items()}
        return State({"tasks": list(self._statistics)}, statistics)

    def restore(self, state: State) -> None:
        """Take back what :meth:`state` gave."""
        tasks = state.plain["tasks"]
        self._statistics = {
            task: ImageStatistics(*state.tensors[str(task)].clone()) for task in tasks
        }

    def symmetries(self, z: Tensor, tasks: Iterable[int]) -> list[tuple[int, Symmetry]]:
        """Return pairs of a task and a symmetry through which rows look like its images, best first.

        A pair is there only where they look more like them than without the symmetry.

        Args:
            z: what the layers read of the new task, (N, C, H, W).
            tasks: earlier tasks that are considered.
        """
        views = self._views(z, tasks)
        plain = {view.task: view.cross_entropy for view in views if view.symmetry is None}
        found = [
            (cross_entropy, task, symmetry)
            for cross_entropy, task, symmetry in views
            if symmetry is not None and cross_entropy < plain[task] - MARGIN
        ]
        found.sort(key=lambda view: view[0])
        return [(task, symmetry) for _, task, symmetry in found[: self.most]]

    def nearest(self, z: Tensor, tasks: Iterable[int]) -> tuple[int, Symmetry | None] | None:
        """Return the task whose images rows look most like, and under which symmetry if any.

        Args:
            z: what the layers read of the new task, (N, C, H, W).
            tasks: earlier tasks that are considered.

        Returns:
            None where nothing is known of how they looked, and where rows look like none of them:
            no more than like images of one and the same grey in all cells, as shuffled pixels do.
        """

        def cross_entropy(view: _View) -> float:
            return view.cross_entropy + (0.0 if view.symmetry is None else MARGIN)

        best = min(self._views(z, tasks), key=cross_entropy, default=None)
        if best is None or cross_entropy(best) >= _plain(image_statistics(z)):
            return None
        return best.task, best.symmetry

    def _views(self, z: Tensor, tasks: Iterable[int]) -> list[_View]:
        """Return how familiar rows look as images of each task, as they are and under symmetries."""
        known = [(task, self._statistics[task]) for task in tasks if task in self._statistics]
        if not known or z.dim() != 4:
            return []
        new = image_statistics(z)
        views = [_View(old.cross_entropy(new), task, None) for task, old in known]
        square = z.shape[2] == z.shape[3]
        for turns, flipped, inverted in product(range(4), (False, True), (None, _range(z))):
            symmetry = Symmetry(turns, flipped, inverted)
            if symmetry == Symmetry() or (turns % 2 and not square):
                continue
            seen = ImageStatistics(
                symmetry(new.mean), symmetry._replace(inverted=None)(new.variance)
            )
            views += [_View(old.cross_entropy(seen), task, symmetry) for task, old in known]
        return views


class _View(NamedTuple):
    """How surprising rows are as images of a task, seen under a symmetry or as they are."""

    cross_entropy: float
    task: int
    symmetry: Symmetry | None


def _plain(stats: ImageStatistics) -> float:
    """Return how surprising images are to one who knows the mean and spread of each channel."""
    mean = stats.mean.mean((1, 2), keepdim=True)
    variance = (stats.variance + (stats.mean - mean).square()).mean((1, 2), keepdim=True)
    return ImageStatistics(
        mean.expand_as(stats.mean), variance.expand_as(stats.mean)
    ).cross_entropy(stats)


def _range(z: Tensor) -> float:
    """Return darkest plus brightest: of the range 0 to 1 where values lie within."""
    low, high = float(z.min()), float(z.max())
    return 1.0 if low >= 0 and high <= 1 else low + high
