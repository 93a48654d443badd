"""Through which lens new images look like those that an earlier path was trained on.

Shape letters: N examples, C channels, G cells along each side.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import product
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from cl_moe.moe.symmetry import Lens
from cl_moe.state import State

__all__ = ("LENSES", "Alignment", "Look", "look_at")

CELLS = 7
"""Cells along each side of the grid that the look of a task's images is kept on."""
ROWS = 512
"""Examples that the look of a task is taken from."""
MARGIN = 0.02
"""Nats a cell by which images must look more familiar through a lens than without one."""
LENSES = 16
"""Lenses to choose from: four turns, flipped or not, inverted or not."""


class Look(NamedTuple):
    """Mean and variance of a task's images, cell by cell, each (C, G, G)."""

    mean: Tensor
    variance: Tensor

    def surprise(self, other: Look) -> float:
        """Return the cross-entropy, in nats a cell, of images with another look under this one.

        Both are taken for Gaussians whose cells are independent.

        >>> dark, light = (Look(torch.full((1, 2, 2), m), torch.ones(1, 2, 2)) for m in (0.0, 1.0))
        >>> dark.surprise(dark) < dark.surprise(light)
        True
        """
        variance = self.variance + 0.05 * self.variance.mean() + 1e-6
        off = (other.variance + (other.mean - self.mean).square()) / variance
        return float(0.5 * (off + variance.log()).mean())


def look_at(images: Tensor) -> Look:
    """Return the look of images (N, C, H, W); at most ``ROWS`` of them are looked at.

    >>> look_at(torch.ones(5, 3, 28, 28)).mean.shape
    torch.Size([3, 7, 7])
    """
    rows = torch.linspace(0, len(images) - 1, min(len(images), ROWS)).round().long()
    some = images[rows].detach().float()
    height, width = some.shape[2:]
    grid = F.adaptive_avg_pool2d(some, (min(CELLS, height), min(CELLS, width)))
    return Look(grid.mean(0).cpu(), grid.var(0, correction=0).cpu())


class Alignment:
    """Remembers what the images of earlier tasks looked like, and finds lenses for new ones.

    A path cannot make much of images that are turned or inverted, though it knows what is on them.
    Where they look, by mean and variance cell by cell, more like those that it was trained on once
    they are turned (or flipped, or inverted) back, it is worth trying to show them to it that way.
    No pass through any path is needed to find that out, and labels are not looked at.

    Args:
        most: pairs of a path and a lens that are named, at most.

    >>> bright_above = torch.zeros(9, 1, 8, 8)
    >>> bright_above[:, :, :4] = 1
    >>> alignment = Alignment(most=1)
    >>> alignment.add(0, bright_above)
    >>> [(task, lens)] = alignment.lenses(bright_above.rot90(2, (2, 3)), [0])
    >>> task, bool((lens(bright_above.rot90(2, (2, 3))) == bright_above).all())
    (0, True)
    >>> alignment.lenses(bright_above, [0]), alignment.nearest(bright_above, [0])  # as they are
    ([], (0, None))
    """

    def __init__(self, most: int) -> None:
        if most < 0:
            raise ValueError(f"lenses: {most} must be 0 (for none) or more")
        self.most = most
        self._looks: dict[int, Look] = {}

    def add(self, task: int, z: Tensor) -> None:
        """Take in what the layers read of a task, (N, C, H, W); nothing of other rows."""
        if self.most and z.dim() == 4:
            self._looks[task] = look_at(z)

    def state(self) -> State:
        """Return the statistics of the images of earlier tasks."""
        looks = {str(task): torch.stack([*look]) for task, look in self._looks.items()}
        return State({"tasks": list(self._looks)}, looks)

    def restore(self, state: State) -> None:
        """Take back what :meth:`state` gave."""
        tasks = state.plain["tasks"]
        self._looks = {task: Look(*state.tensors[str(task)].clone()) for task in tasks}

    def lenses(self, z: Tensor, tasks: Iterable[int]) -> list[tuple[int, Lens]]:
        """Return pairs of a task and a lens through which rows look like its images, best first.

        A pair is there only where they look more like them than without the lens.

        Args:
            z: what the layers read of the new task, (N, C, H, W).
            tasks: earlier tasks that are considered.
        """
        views = self._views(z, tasks)
        plain = {view.task: view.surprise for view in views if view.lens is None}
        found = [
            (surprise, task, lens)
            for surprise, task, lens in views
            if lens is not None and surprise < plain[task] - MARGIN
        ]
        found.sort(key=lambda view: view[0])
        return [(task, lens) for _, task, lens in found[: self.most]]

    def nearest(self, z: Tensor, tasks: Iterable[int]) -> tuple[int, Lens | None] | None:
        """Return the task whose images rows look most like, and through which lens if any.

        Args:
            z: what the layers read of the new task, (N, C, H, W).
            tasks: earlier tasks that are considered.

        Returns:
            None where nothing is known of how they looked, and where rows look like none of them:
            no more than like images of one and the same grey in all cells, as shuffled pixels do.
        """

        def surprise(view: _View) -> float:
            return view.surprise + (0.0 if view.lens is None else MARGIN)

        best = min(self._views(z, tasks), key=surprise, default=None)
        if best is None or surprise(best) >= _plain(look_at(z)):
            return None
        return best.task, best.lens

    def _views(self, z: Tensor, tasks: Iterable[int]) -> list[_View]:
        """Return how familiar rows look as images of each task, as they are and through lenses."""
        known = [(task, self._looks[task]) for task in tasks if task in self._looks]
        if not known or z.dim() != 4:
            return []
        new = look_at(z)
        views = [_View(old.surprise(new), task, None) for task, old in known]
        square = z.shape[2] == z.shape[3]
        for turns, flipped, inverted in product(range(4), (False, True), (None, _range(z))):
            lens = Lens(turns, flipped, inverted)
            if lens == Lens() or (turns % 2 and not square):
                continue
            seen = Look(lens(new.mean), lens._replace(inverted=None)(new.variance))
            views += [_View(old.surprise(seen), task, lens) for task, old in known]
        return views


class _View(NamedTuple):
    """How surprising rows are as images of a task, seen through a lens or as they are."""

    surprise: float
    task: int
    lens: Lens | None


def _plain(look: Look) -> float:
    """Return how surprising images are to one who knows the mean and spread of each channel."""
    mean = look.mean.mean((1, 2), keepdim=True)
    variance = (look.variance + (look.mean - mean).square()).mean((1, 2), keepdim=True)
    return Look(mean.expand_as(look.mean), variance.expand_as(look.mean)).surprise(look)


def _range(z: Tensor) -> float:
    """Return darkest plus brightest: of the range 0 to 1 where values lie within."""
    low, high = float(z.min()), float(z.max())
    return 1.0 if low >= 0 and high <= 1 else low + high
