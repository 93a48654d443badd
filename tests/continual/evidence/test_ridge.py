from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional as F

from cl_moe.continual.evidence.ridge import (
    STRENGTHS,
    TEMPERATURES,
    fit_linear,
    fit_ridge,
    leave_one_out,
    strength_of,
)
from cl_moe.objectives.multilabel import Multilabel
from cl_moe.objectives.regression import Regression


def slow_loo_scores(x, y, classes, strength):
    """Fit n times without one example each, with the same absolute strength."""
    one_hot = F.one_hot(y, classes).double()
    scores = []
    for i in range(len(y)):
        rows = torch.arange(len(y)) != i
        xi, yi = x[rows], one_hot[rows]
        mean, target = xi.mean(0), yi.mean(0)
        gram = (xi - mean).T @ (xi - mean) + strength * torch.eye(x.shape[1])
        weight = torch.linalg.solve(gram, (xi - mean).T @ (yi - target))
        scores.append((x[i] - mean) @ weight + target)
    return torch.stack(scores)


@settings(deadline=None, max_examples=15)
@given(st.integers(6, 20), st.integers(1, 12), st.integers(0, 99))
def test_leave_one_out_equals_leaving_each_one_out(n, d, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g, dtype=torch.float64)
    y = torch.arange(n) % 3
    answer = fit_ridge(x, y, 3)
    centred = x - x.mean(0)
    scale = centred.square().sum() / min(x.shape)
    exact = []
    for strength in STRENGTHS:
        scores = slow_loo_scores(x, y, 3, float(strength * scale))
        exact += [F.nll_loss(F.log_softmax(t * scores, 1), y).item() for t in TEMPERATURES]
    assert abs(answer.loo_loss - min(exact)) < 1e-4


@settings(deadline=None, max_examples=15)
@given(st.integers(6, 20), st.integers(1, 30), st.integers(0, 99))
def test_inner_products_alone_tell_what_refits_without_each_example_do(n, d, seed):
    g = torch.Generator().manual_seed(seed)
    x = torch.randn(n, d, generator=g, dtype=torch.float64)
    x, y = x - x.mean(0), torch.arange(n) % 3
    found = leave_one_out(x @ x.T, y, 3)
    scale = float(x.square().sum() / n)
    losses = {}
    for strength in STRENGTHS:
        scores = slow_loo_scores(x, y, 3, strength * scale)
        for t in TEMPERATURES:
            losses[strength, t] = F.nll_loss(F.log_softmax(t * scores, 1), y).item()
    assert abs(found.loss - min(losses.values())) < 1e-6
    assert any(abs(found.strength / scale / s - 1) < 1e-6 for s in STRENGTHS)
    assert found.temperature in TEMPERATURES
    exact = found.temperature * slow_loo_scores(x, y, 3, found.strength)
    assert torch.allclose(found.log_probs, exact.log_softmax(1), atol=1e-5)


def test_both_ways_to_leave_one_out_agree_and_classes_may_be_absent():
    g = torch.Generator().manual_seed(0)
    y = 3 * (torch.arange(40) % 2)
    x = torch.randn(40, 60, generator=g, dtype=torch.float64) + F.one_hot(y, 60)
    centred = x - x.mean(0)
    found, answer = leave_one_out(centred @ centred.T, y, 5), fit_ridge(x, y, 5)
    assert abs(found.loss - answer.loo_loss) < 1e-6
    assert torch.allclose(found.log_probs, answer.loo_log_probs.double(), atol=1e-5)


def test_the_answer_predicts_as_its_weights_say_and_ignores_scale():
    g = torch.Generator().manual_seed(0)
    y = torch.arange(60) % 3
    x = torch.randn(60, 5, generator=g) + 3 * F.one_hot(y, 5)
    answer, scaled = fit_ridge(x, y, 3), fit_ridge(100 * x, y, 3)
    logits = x @ answer.weight.T + answer.bias
    assert (logits.argmax(1) == y).float().mean() > 0.95
    assert torch.allclose(logits, 100 * x @ scaled.weight.T + scaled.bias, atol=1e-2)


def test_noise_gets_no_better_than_chance():
    g = torch.Generator().manual_seed(0)
    answer = fit_ridge(torch.randn(200, 50, generator=g), torch.arange(200) % 2, 2)
    assert answer.loo_loss > 0.68


def test_real_targets_are_left_out_one_by_one():
    """The closed form gives what fits without each row give, and the Gaussian loss of it."""
    draw = torch.Generator().manual_seed(3)
    x = torch.randn(12, 4, generator=draw, dtype=torch.float64)
    y = x @ torch.randn(4, 2, generator=draw, dtype=torch.float64) + 5
    y = (y + 0.3 * torch.randn(12, 2, generator=draw)).float()
    answer = fit_linear(x, y, Regression(2))
    gram = (x - x.mean(0)) @ (x - x.mean(0)).T
    assert strength_of(gram, y, Regression(2)).loss == pytest.approx(answer.loo_loss, rel=0.05)
    error = (answer.loo_log_probs.double() - y).square().mean(0)
    expected = 0.5 * ((2 * torch.pi * error).log() + 1).sum()
    assert answer.loo_loss == pytest.approx(expected.item(), rel=1e-5)
    predicted = x.float() @ answer.weight.T + answer.bias
    assert Regression(2).metrics(predicted, y)["r2"] > 0.9
    shifted = fit_linear(x, y + 100, Regression(2))
    assert torch.allclose(shifted.weight, answer.weight, atol=1e-3)
    assert torch.allclose(shifted.bias, answer.bias + 100, atol=1e-2)


def test_labels_are_predicted_by_the_sign():
    draw = torch.Generator().manual_seed(4)
    x = torch.randn(200, 5, generator=draw)
    y = (x @ torch.randn(5, 3, generator=draw) > 0).float()
    answer = fit_linear(x, y, Multilabel(3))
    logits = x @ answer.weight.T + answer.bias
    assert Multilabel(3).metrics(logits, y)["f1"] > 0.9
    assert answer.loo_loss < 0.5 * Multilabel(3).constant_loss(y)
