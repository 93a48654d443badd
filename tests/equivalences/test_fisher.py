"""The Fisher information of EWC is that of logistic regression in closed form.

For logits W x + b the gradient of log p(c) by W_k is (1[k = c] - p_k) x. Its mean square under the
model is E[x x^T] p_k (1 - p_k) on the diagonal. Rows are repeated with labels in just the shares
that the model predicts, so that the mean over labels is the expectation, without sampling error.
"""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from cl_moe.continual.regularizers.ewc import EWC, fisher
from cl_moe.objectives.classification import Classification


def _expected(x_ND: Tensor, p_NC: Tensor) -> dict[str, Tensor]:
    variance_NC = p_NC * (1 - p_NC)
    return {"w": variance_NC.T @ x_ND.square() / len(x_ND), "b": variance_NC.mean(0)}


def _linear(parameters, x_BD):
    return (x_BD @ parameters["w"].T + parameters["b"]).log_softmax(-1)


SHARES = {"binary": (3, 1), "balanced": (1, 1), "multinomial": (2, 1, 1), "skewed": (7, 2, 1)}


@pytest.mark.parametrize("shares", SHARES.values(), ids=SHARES)
@pytest.mark.parametrize("vectorize", [True, False])
def test_of_softmax_regression(shares, vectorize):
    draw = torch.Generator().manual_seed(0)
    x_ND = torch.randn(5, 3, generator=draw, dtype=torch.float64)
    p_C = torch.tensor(shares, dtype=torch.float64) / sum(shares)
    parameters = {"w": torch.zeros(len(shares), 3, dtype=torch.float64), "b": p_C.log()}
    labels = torch.arange(len(shares)).repeat_interleave(torch.tensor(shares))
    x, y = x_ND.repeat_interleave(len(labels), 0), labels.repeat(len(x_ND))
    found = fisher(parameters, _linear, x, y, labels="true", vectorize=vectorize)
    expected = _expected(x_ND, p_C.expand(5, -1))
    for name in expected:
        torch.testing.assert_close(found[name], expected[name], rtol=1e-12, atol=1e-12)


def test_of_logistic_regression_with_one_logit():
    """For one logit w x the Fisher information is E[x^2 p (1 - p)], at any w."""
    w = torch.tensor([0.7, -1.2], dtype=torch.float64)
    x_ND = torch.tensor([[1.0, 2.0], [-0.5, 0.3], [0.0, -1.0]], dtype=torch.float64)

    def coin(parameters, x_BD):
        logit_B = x_BD @ parameters["w"]
        return torch.stack([-logit_B, logit_B], -1).mul(0.5).log_softmax(-1)

    p_N = torch.sigmoid(x_ND @ w)
    per_label = [
        fisher({"w": w}, coin, x[None], torch.tensor([label]), labels="true")["w"]
        * (p if label else 1 - p)
        for x, p in zip(x_ND, p_N, strict=True)
        for label in (0, 1)
    ]
    expected = (x_ND.square() * (p_N * (1 - p_N))[:, None]).mean(0)
    found = torch.stack(per_label).sum(0) / len(x_ND)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)


def test_sampled_labels_come_to_the_closed_form():
    """The standard error of the mean over n draws is below 1 / sqrt(n)."""
    draw = torch.Generator().manual_seed(0)
    x_ND = torch.randn(4, 3, generator=draw, dtype=torch.float64).repeat(5000, 1)
    parameters = {
        "w": torch.randn(3, 3, generator=draw, dtype=torch.float64),
        "b": torch.randn(3, generator=draw, dtype=torch.float64),
    }
    ewc = EWC(1.0, samples=None)
    y_N = torch.zeros(len(x_ND), dtype=torch.long)
    ewc.consolidate(parameters, _linear, x_ND, y_N, Classification(3))
    expected = _expected(x_ND, _linear(parameters, x_ND).exp())
    for name in expected:
        torch.testing.assert_close(ewc.importance[name], expected[name], rtol=0.05, atol=0.01)
