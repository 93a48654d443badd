"""Labels: micro-averaged F1 and exact matches as scikit-learn has them."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import accuracy_score, f1_score

from cl_moe.objectives.multilabel import Multilabel


@pytest.fixture
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    y = (torch.rand(60, 3, generator=draw) < torch.tensor([0.5, 0.2, 0.8])).float()
    return 3 * y - 1.5 + 2 * torch.randn(60, 3, generator=draw), y


def test_metrics_are_scikit_learns(rows) -> None:
    outputs, y = rows
    found, predicted = Multilabel(3).metrics(outputs, y), (outputs > 0).int().numpy()
    target = y.int().numpy()
    assert found["f1"] == pytest.approx(f1_score(target, predicted, average="micro"))
    assert found["exact_match"] == pytest.approx(accuracy_score(target, predicted))
    expected = torch.nn.BCEWithLogitsLoss()(outputs, y).item()
    assert found["loss"] == pytest.approx(expected, rel=1e-6)


def test_f1_is_undefined_where_nothing_is_there_or_predicted() -> None:
    assert math.isnan(Multilabel(2).metrics(-torch.ones(3, 2), torch.zeros(3, 2))["f1"])


def test_whole_numbers_and_booleans_are_labels(rows) -> None:
    outputs, y = rows
    for other in (y.int(), y.bool(), y.double()):
        assert not Multilabel(3).target_problems(other)
        assert torch.equal(Multilabel(3).loss(outputs, other), Multilabel(3).loss(outputs, y))


@pytest.mark.parametrize(
    ("y", "problem"),
    [
        (torch.zeros(4, 3), "targets are torch.float32 of shape (4, 3); give (samples, 2)"),
        (torch.tensor([[0, 1], [2, 0]]), "sample 1 has target 2 for label 0; give 0 or 1"),
        (torch.tensor([[0.0, math.nan]]), "sample 0 has target nan for label 1; give 0 or 1"),
        (torch.zeros(4, 2), "no sample has any label; give some"),
    ],
)
def test_what_is_wrong_with_targets(y: torch.Tensor, problem: str) -> None:
    (found,) = Multilabel(2).target_problems(y)
    assert found.startswith(problem)


def test_evidence_is_summed_over_labels(rows) -> None:
    outputs, y = rows
    found = Multilabel(3).calibrate(outputs, y, [1.0])
    assert found.loss == pytest.approx(3 * Multilabel(3).loss(outputs, y).item(), rel=1e-5)
