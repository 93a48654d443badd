"""Invented characters: the same in every run, and each its own."""

from __future__ import annotations

import pytest
import torch

from cl_moe.errors import InputError
from cl_moe.streams.sources.glyphs import Glyphs

SOURCE = Glyphs(classes=6, train_per_class=12, test_per_class=6)


def test_every_run_has_the_same_characters() -> None:
    one, other = (SOURCE.load(seed=seed, data_dir=None) for seed in (0, 1))
    assert torch.equal(one.train_x, other.train_x)
    assert not one.problems("glyphs")
    assert float(one.train_x.min()) >= 0
    assert 0.5 < float(one.train_x.max()) <= 1


def test_more_characters_leave_the_first_as_they_are() -> None:
    more = Glyphs(classes=8, train_per_class=12, test_per_class=6).load(seed=0, data_dir=None)
    assert torch.equal(more.train_x[: 6 * 12], SOURCE.load(seed=0, data_dir=None).train_x)


def test_examples_of_a_character_differ_and_are_nearer_than_those_of_others() -> None:
    data = SOURCE.load(seed=0, data_dir=None)
    mean = torch.stack([data.train_x[data.train_y == k].mean(0).flatten() for k in range(6)])
    nearest = torch.cdist(data.test_x.flatten(1), mean).argmin(1)
    assert float((nearest == data.test_y).double().mean()) > 0.8
    assert len(data.train_x.flatten(1).unique(dim=0)) == len(data.train_x)


def test_all_that_is_wrong_is_named() -> None:
    with pytest.raises(InputError) as caught:
        Glyphs(classes=1, size=2, wobble=-1.0)
    assert len(caught.value.problems) == 3
