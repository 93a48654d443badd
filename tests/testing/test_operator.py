"""Each check of operators catches one that is broken in that way."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar

import pytest
import torch

from cl_moe.streams.operators.base import Operator, map_inputs


@dataclass(frozen=True)
class Good(Operator):
    relation: ClassVar[str] = "good input"

    def __call__(self, task, seed=0):
        return map_inputs(task, self, lambda x, _: self.change(x), "good")

    def change(self, x):
        return x


@dataclass
class Loose(Operator):
    relation: ClassVar[str] = "loose input"
    width: int = 3

    __call__, change = Good.__call__, Good.change


class Unsaid(Good):
    def __call__(self, task, seed=0):
        return replace(super().__call__(task, seed), derived_from=None)


class Mutates(Good):
    def change(self, x):
        return x.mul_(0.5)


class Dice(Good):
    def change(self, x):
        return torch.rand_like(x)


class Divides(Good):
    def change(self, x):
        return x / x.std()


class ManyRows(Good):
    def change(self, x):
        x[5]
        return x


class Images(Good):
    def change(self, x):
        return x.transpose(2, 3)


class Classes(Good):
    def __call__(self, task, seed=0):
        task.classes[1]
        return super().__call__(task, seed)


class Floats(Good):
    def change(self, x):
        return x @ torch.eye(x.shape[-1])


BROKEN = {
    "state round trips": (Loose, "its fields can be changed"),
    "the relation is said": (Unsaid, "derived_from is None"),
    "inputs untouched": (Mutates, "its input task is changed"),
    "same seed same result": (Dice, "the same seed gives another task the second time"),
    "finite": (Divides, "NaN"),
    "one row": (ManyRows, "index 5 is out of bounds"),
    "tasks of vectors": (Images, "a task of vectors raises IndexError"),
    "tasks without classes": (Classes, "a task of regression raises IndexError"),
    "tasks of token ids": (Floats, "a task of token ids raises RuntimeError"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_each_check_catches(name, catches):
    catches("operator", BROKEN, name)
