"""Each check of sources catches one that is broken in that way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from cl_moe.seeding import generator
from cl_moe.streams.sources.base import Source, SourceData


@dataclass(frozen=True)
class Good(Source):
    seeded: ClassVar[bool] = True
    width: int = 3

    def load(self, *, seed, data_dir):
        x, y = torch.rand(8, self.width, generator=generator(seed, "good")), torch.arange(8) % 2
        return SourceData(x[:4], y[:4], x[4:], y[4:], ("a", "b"))


@dataclass
class Loose(Good.__mro__[1]):
    width: int = 3

    load = Good.load


class Silent(Good):
    def available(self, data_dir):
        return False


class Holes(Good):
    def load(self, *, seed, data_dir):
        data = super().load(seed=seed, data_dir=data_dir)
        return replace(data, train_x=data.train_x / 0 * 0)


class Dice(Good):
    def load(self, *, seed, data_dir):
        data = super().load(seed=seed, data_dir=data_dir)
        return replace(data, test_x=torch.rand_like(data.test_x))


class Unsaid(Good):
    seeded = False


class GlobalDraw(Good):
    def load(self, *, seed, data_dir):
        torch.rand(1)
        return super().load(seed=seed, data_dir=data_dir)


class Varied(Good):
    varies = True

    def variant(self, name, relatedness=None):
        return replace(self, width=self.width + 1)


BROKEN = {
    "state round trips": (Loose, "its fields can be changed"),
    "availability is said": (Silent, "available gives False; give None, or a sentence why"),
    "data can be used": (Holes, "example 0 holds NaN or infinity"),
    "same seed same result": (Dice, "test_x: another load of the same seed differs"),
    "same seed same result / unsaid": (Unsaid, "depends on the seed, though seeded is False"),
    "inputs untouched": (GlobalDraw, "it draws from torch's global random state"),
    "variants fit": (Varied, "a variant has another shape"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_check_catches(name, catches):
    catches("source", BROKEN, name)
