from __future__ import annotations

import pytest
import torch

from cl_moe.continual.evidence.scores import feature_score, ncm
from cl_moe.objectives.regression import Regression

G = torch.Generator().manual_seed(0)
Y = torch.arange(60) % 3
NOISE = torch.randn(60, 8, generator=G)
CLEAR = NOISE + 4 * torch.nn.functional.one_hot(Y, 8)
SOME = NOISE + 1.2 * torch.nn.functional.one_hot(Y, 8)


def by_targets(x, y):
    """The score where labels are targets of a regression."""
    return feature_score(x, torch.nn.functional.one_hot(y % 3).double(), Regression(3))


@pytest.mark.parametrize("score", [ncm, feature_score, by_targets])
class TestEveryScore:
    def test_ranks_features_by_how_well_they_separate_the_classes(self, score):
        assert score(CLEAR, Y) > score(SOME, Y) > score(NOISE, Y)

    def test_does_not_depend_on_scale_or_shift(self, score):
        assert score(7 * SOME + 3, Y) == pytest.approx(score(SOME, Y), rel=1e-4)

    def test_stands_constant_features_and_classes_of_one(self, score):
        y = torch.cat([Y, torch.tensor([7])])
        x = torch.cat([SOME, SOME[:1]])
        value = score(torch.cat([x, torch.ones(61, 1)], 1), y)
        assert value == value


def test_names_of_labels_do_not_matter():
    assert ncm(SOME, 10 - 2 * Y) == ncm(SOME, Y)


def test_nearest_class_mean_leaves_each_example_out():
    """Checked against the means computed again without each example."""
    x = SOME.double()
    x = (x - x.mean(0)) / (x - x.mean(0)).square().mean().sqrt()
    right = 0
    for i in range(60):
        rest = torch.arange(60) != i
        means = torch.stack([x[rest & (c == Y)].mean(0) for c in range(3)])
        right += int((x[i] - means).norm(dim=1).argmin() == Y[i])
    assert ncm(SOME, Y) == right / 60
