from __future__ import annotations

import pytest
import torch

from cl_moe.continual.evidence.scores import SCORES, knn, ncm

G = torch.Generator().manual_seed(0)
Y = torch.arange(60) % 3
NOISE = torch.randn(60, 8, generator=G)
CLEAR = NOISE + 4 * torch.nn.functional.one_hot(Y, 8)
SOME = NOISE + 1.2 * torch.nn.functional.one_hot(Y, 8)


@pytest.mark.parametrize("name", SCORES)
class TestEveryScore:
    def test_ranks_features_by_how_well_they_separate_the_classes(self, name):
        score = SCORES[name]
        assert score(CLEAR, Y) > score(SOME, Y) > score(NOISE, Y)

    def test_does_not_depend_on_scale_shift_or_names_of_labels(self, name):
        score = SCORES[name]
        assert score(7 * SOME + 3, Y) == pytest.approx(score(SOME, Y), rel=1e-4)
        assert score(SOME, 10 - 2 * Y) == pytest.approx(score(SOME, Y), rel=1e-4)

    def test_stands_constant_features_and_classes_of_one(self, name):
        y = torch.cat([Y, torch.tensor([7])])
        x = torch.cat([SOME, SOME[:1]])
        value = SCORES[name](torch.cat([x, torch.ones(61, 1)], 1), y)
        assert value == value


def test_no_example_is_its_own_neighbour():
    angle = torch.tensor([0.0, 0.1, 1.5, 1.6, 3.0, 3.1])  # each one's nearest is of the other class
    x, y = torch.stack([angle.cos(), angle.sin()], 1), torch.tensor([0, 1, 0, 1, 0, 1])
    assert knn(x, y, k=1) == 0.0


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
