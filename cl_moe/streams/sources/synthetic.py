"""Synthetic tasks of controlled relatedness."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from cl_moe.errors import InputError
from cl_moe.seeding import generator
from cl_moe.streams.sources.base import MOST_VALUES, Source, SourceData, range_problems

__all__ = ("Synthetic",)

RANGES = {
    "dim": (2, 2**20),
    "classes": (2, 10**5),
    "clusters": (1, 10**4),
    "latent": (1, 10**4),
    "noise": (0, 10**6),
    "train_per_class": (1, 10**7),
    "test_per_class": (1, 10**7),
}


@dataclass(frozen=True)
class Synthetic(Source):
    r"""Non-linear classification tasks of chosen relatedness.

    A task is given by theta = (W, P): a mixing matrix W (latent, dim), and for each class
    ``clusters`` prototypes P (classes, clusters, latent). An example of class c is

        z = sqrt(latent) * P[c, j] / |P[c, j]|            j uniform; a point on a sphere
        x = sigmoid(z W / sqrt(latent) + noise * normal)  (dim,), values in 0..1

    Every entry of theta is standard Gaussian, and the entries of two variants have the correlation
    r, their ``relatedness``: theta_b = r theta_a + sqrt(1 - r^2) xi. So 0 is an independent task,
    and 1 is the same task (same distribution, other examples); in between, both the relevant
    directions of input space and the positions of the classes agree in part. Since a class consists
    of several clusters on a sphere, a linear model is much less accurate than a small network.
    Since the signal lies in ``latent`` of ``dim`` directions, features of a related task save many
    examples (tested: the accuracy of a linear probe on them rises with the relatedness).

    In a scenario, each task names its ``variant`` (default: the task's name) and may say
    ``related_to`` an earlier variant with a ``relatedness``; other pairs then have the product of
    the correlations between them. In Python, :meth:`family` takes a matrix of correlations.

    Args:
        dim: features.
        image: reshape the features to a grey square image (1, sqrt(dim), sqrt(dim)).
        classes: number of classes, balanced.
        clusters: prototypes per class; with one the task is nearly linear.
        latent: dimension of the space of prototypes; tasks with fewer dimensions are harder.
        noise: standard deviation of the noise on every feature, before the sigmoid.
        train_per_class: training examples per class.
        test_per_class: test examples per class.
        lineage: variants from the first ancestor to this one, each with its relatedness to the
            one before it (that of the first is ignored). Set by the scenario.

    >>> data = Synthetic(dim=16, classes=3, train_per_class=5).load(seed=0, data_dir=None)
    >>> tuple(data.train_x.shape), data.train_y.bincount().tolist()
    ((15, 16), [5, 5, 5])
    """

    seeded: ClassVar[bool] = True
    varies: ClassVar[bool] = True

    dim: int = 64
    classes: int = 4
    clusters: int = 4
    latent: int = 4
    noise: float = 0.7
    train_per_class: int = 200
    test_per_class: int = 100
    image: bool = False
    lineage: tuple[tuple[str, float], ...] = (("a", 0.0),)

    def __post_init__(self) -> None:
        problems = range_problems(self, RANGES)
        rows = self.classes * (self.train_per_class + self.test_per_class)
        values = max(rows * self.dim, self._size)
        if not problems and values > MOST_VALUES:
            problems.append(
                f"dim: {self.dim} with {rows} examples makes {values} values; give sizes that make "
                f"{MOST_VALUES} or less"
            )
        if self.image and math.isqrt(max(self.dim, 0)) ** 2 != self.dim:
            problems.append(
                f"dim: {self.dim} is not a square; give 64, 256, 784 or leave out image"
            )
        problems += [
            f"relatedness: {r} is outside 0 (independent) to 1 (same task)"
            for _, r in self.lineage[1:]
            if not 0 <= r <= 1
        ]
        if problems:
            raise InputError(problems)

    def variant(self, name: str, relatedness: float | None = None) -> Synthetic:
        """Return an independent variant, or one related to this one by ``relatedness`` (0 to 1)."""
        if relatedness is None:
            return replace(self, lineage=((name, 0.0),))
        return replace(self, lineage=(*self.lineage, (name, float(relatedness))))

    def parameters(self, seed: int) -> Tensor:
        """Return theta of this variant, standard Gaussian of shape (size,)."""
        theta = torch.zeros(self._size)
        for position, (name, relatedness) in enumerate(self.lineage):
            own = torch.randn(self._size, generator=generator(seed, "synthetic", name))
            r = relatedness if position else 0.0
            theta = r * theta + math.sqrt(1 - r * r) * own
        return theta

    @property
    def _size(self) -> int:
        return self.latent * (self.dim + self.classes * self.clusters)

    def load(self, *, seed: int, data_dir: Path | None) -> SourceData:
        """Return balanced examples of this variant, drawn for ``seed`` and the variant's name."""
        return self._examples(self.parameters(seed), seed, self.lineage[-1][0])

    def family(
        self, correlation: Sequence[Sequence[float]] | Tensor, seed: int = 0
    ) -> list[SourceData]:
        """Return one task for each row of a full correlation matrix (tasks, tasks).

        Raises:
            InputError: the matrix is not symmetric with ones on the diagonal, or no Gaussian has
                it (it has a negative eigenvalue).

        >>> toy = Synthetic(dim=8, train_per_class=5)
        >>> len(toy.family([[1.0, 0.5], [0.5, 1.0]]))
        2
        """
        wanted = torch.as_tensor(correlation, dtype=torch.float64)
        if wanted.ndim != 2 or wanted.shape[0] != wanted.shape[1]:
            raise InputError(f"correlation: shape {tuple(wanted.shape)} is not square")
        if not torch.equal(wanted, wanted.T) or not bool((wanted.diagonal() == 1).all()):
            raise InputError("correlation: give a symmetric matrix with ones on its diagonal")
        values, vectors = torch.linalg.eigh(wanted)
        if float(values.min()) < -1e-9:
            raise InputError(
                f"correlation: its lowest eigenvalue is {float(values.min()):.3g}; no tasks are "
                "related like that (where a and b, b and c are the same, a and c must be too)"
            )
        root = (vectors * values.clamp(min=0).sqrt()) @ vectors.T
        names = [f"family{k}" for k in range(len(wanted))]
        own = torch.stack(
            [torch.randn(self._size, generator=generator(seed, "synthetic", n)) for n in names]
        )
        thetas = root.to(torch.float32) @ own
        return [self._examples(t, seed, n) for t, n in zip(thetas, names, strict=True)]

    def _examples(self, theta: Tensor, seed: int, name: str) -> SourceData:
        mixing, prototypes = theta.split(
            [self.dim * self.latent, self.classes * self.clusters * self.latent]
        )
        draw = generator(seed, "synthetic", name, "examples")
        centres = prototypes.view(self.classes, self.clusters, self.latent)
        centres = centres / centres.norm(dim=2, keepdim=True)
        splits = []
        for size in (self.train_per_class, self.test_per_class):
            y = torch.arange(self.classes).repeat_interleave(size)
            cluster = torch.randint(self.clusters, y.shape, generator=draw)
            signal = centres[y, cluster] @ mixing.view(self.latent, self.dim)
            noise = self.noise * torch.randn(len(y), self.dim, generator=draw)
            x = torch.sigmoid(signal + noise)
            side = math.isqrt(self.dim)
            splits += [x.view(-1, 1, side, side) if self.image else x, y]
        names = tuple(str(k) for k in range(self.classes))
        return SourceData(splits[0], splits[1], splits[2], splits[3], names)
