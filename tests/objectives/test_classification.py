"""Classes: cross-entropy and accuracy, to the bit as torch has them."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional as F

from cl_moe.objectives.classification import Classification, calibrated


@pytest.fixture
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    return torch.randn(50, 4, generator=draw), torch.randint(4, (50,), generator=draw)


def test_loss_is_torchs_cross_entropy_to_the_bit(rows) -> None:
    outputs, y = rows
    assert torch.equal(Classification(4).loss(outputs, y), torch.nn.CrossEntropyLoss()(outputs, y))
    none = F.cross_entropy(outputs, y, reduction="none")
    assert torch.equal(Classification(4).loss(outputs, y, "none"), none)


def test_log_prob_is_the_cross_entropy_too(rows) -> None:
    outputs, y = rows
    classes = Classification(4)
    found = classes.log_prob(classes.normalised(outputs), y)
    torch.testing.assert_close(found, -F.cross_entropy(outputs, y, reduction="none"))


def test_rows_are_drawn_by_class(rows) -> None:
    assert torch.equal(Classification(4).strata(rows[1]), rows[1])


@pytest.mark.parametrize(
    ("y", "problem"),
    [
        (torch.tensor([0.0, 1.0]), "labels are torch.float32 of shape (2,); give (samples,) int64"),
        (torch.zeros(2, 2, dtype=torch.int64), "labels are torch.int64 of shape (2, 2)"),
        (torch.tensor([0, 5]), "label 5 for 3 classes; labels are 0 to 2"),
        (torch.tensor([-1, 5]), "label -1 for 3 classes; labels are 0 to 2"),
    ],
)
def test_what_is_wrong_with_labels(y: torch.Tensor, problem: str) -> None:
    (found,) = Classification(3).target_problems(y)
    assert found.startswith(problem)
    assert not Classification(3).target_problems(torch.tensor([2, 0, 0]))


def test_judging_does_not_depend_on_the_scale_of_logits(rows) -> None:
    outputs, y = rows[0] + 2 * F.one_hot(rows[1], 4), rows[1]
    classes = Classification(4)
    assert classes.calibrated_score(outputs, y) == pytest.approx(
        classes.calibrated_score(4 * outputs, y)
    )
    assert calibrated(outputs, y)[0] == 4 * calibrated(4 * outputs, y)[0]
    assert classes.chance == 0.25
