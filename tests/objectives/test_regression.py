"""Real numbers: R2 and errors as scikit-learn has them."""

from __future__ import annotations

import math

import pytest
import torch
from sklearn.metrics import mean_squared_error, r2_score

from cl_moe.objectives.regression import Regression


@pytest.fixture
def rows() -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(0)
    y = torch.randn(60, 2, generator=draw) * torch.tensor([1.0, 7.0]) + 3
    return y + torch.randn(60, 2, generator=draw), y


def test_metrics_are_scikit_learns(rows) -> None:
    outputs, y = rows
    found = Regression(2).metrics(outputs, y)
    error = mean_squared_error(y.numpy(), outputs.numpy())
    assert found["r2"] == pytest.approx(r2_score(y.numpy(), outputs.numpy()), rel=1e-5)
    assert found["loss"] == pytest.approx(error, rel=1e-5)
    assert found["rmse"] == pytest.approx(math.sqrt(error), rel=1e-5)


def test_one_output_takes_targets_without_a_column(rows) -> None:
    outputs, y = rows[0][:, :1], rows[1][:, 0]
    assert Regression(1).metrics(outputs, y) == Regression(1).metrics(outputs, y[:, None])
    assert Regression(1).loss(outputs, y).item() == pytest.approx(
        (outputs[:, 0] - y).square().mean().item()
    )


def test_r2_may_be_below_0_and_is_undefined_for_targets_all_alike(rows) -> None:
    outputs, y = rows
    assert Regression(2).metrics(outputs + 100, y)["r2"] < -10
    assert math.isnan(Regression(2).metrics(outputs, torch.ones_like(y))["r2"])
    assert Regression(2).calibrated_score(outputs, torch.ones_like(y))[1] > 0


def test_evidence_is_the_gaussian_likelihood_at_the_variance_of_the_errors(rows) -> None:
    outputs, y = rows
    found = Regression(2).calibrate(outputs.double(), y, [0.5, 2.0])
    spread = (outputs - y).double().square().mean(0).sqrt()
    expected = -torch.distributions.Normal(outputs.double(), spread).log_prob(y.double())
    assert found.factor == 1.0
    assert found.loss == pytest.approx(expected.sum(1).mean().item(), rel=1e-6)


@pytest.mark.parametrize(
    ("y", "problem"),
    [
        (torch.zeros(4, 3), "targets are torch.float32 of shape (4, 3); give (samples, 2)"),
        (torch.zeros(4), "targets are torch.float32 of shape (4,); give (samples, 2)"),
        (torch.tensor([[1.0, 2.0], [math.nan, 3.0]]), "sample 1 has a target NaN or infinity"),
        (torch.tensor([[1.0, 2.5], [2.0, 2.5]]), "targets of output 1 are all 2.5"),
    ],
)
def test_what_is_wrong_with_targets(y: torch.Tensor, problem: str) -> None:
    (found,) = Regression(2).target_problems(y)
    assert found.startswith(problem)
    assert ";" in found


def test_whole_numbers_are_numbers() -> None:
    assert not Regression(1).target_problems(torch.tensor([1, 2, 5]))
    assert Regression(1).targets(torch.tensor([1, 2])).tolist() == [[1.0], [2.0]]


def test_rows_are_drawn_as_if_of_one_class() -> None:
    assert Regression(1).strata(torch.rand(3)).tolist() == [0, 0, 0]
